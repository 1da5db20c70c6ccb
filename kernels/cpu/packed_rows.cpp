// Rows of fewer bytes: embedding.h says what they hold.
#include <cmath>
#include <cstring>

#include "kernels/cpu/half.h"
#include "kernels/embedding.h"

namespace swallowtail {

namespace {

void pack_int8(const float* values, std::int64_t dim, std::byte* row) noexcept {
  float largest = 0;
  for (std::int64_t d = 0; d < dim; ++d) largest = std::max(largest, std::abs(values[d]));
  const float scale = largest / 127;
  std::memcpy(row, &scale, sizeof scale);
  for (std::int64_t d = 0; d < dim; ++d) {
    const float level = scale > 0 ? std::clamp(std::nearbyint(values[d] / scale), -127.0F, 127.0F) : 0.0F;
    row[4 + d] = static_cast<std::byte>(static_cast<std::int8_t>(level));
  }
}

}  // namespace

std::int64_t row_bytes(RowFormat format, std::int64_t dim) noexcept {
  switch (format) {
    case RowFormat::fp32:
      return 4 * dim;
    case RowFormat::bf16:
    case RowFormat::fp16:
      return (2 * dim + 3) / 4 * 4;
    case RowFormat::int8:
      return 4 + (dim + 3) / 4 * 4;
  }
  return 0;
}

void pack_row(RowFormat format, const float* values, std::int64_t dim, std::byte* row) noexcept {
  switch (format) {
    case RowFormat::fp32:
      std::memcpy(row, values, static_cast<std::size_t>(dim) * sizeof(float));
      return;
    case RowFormat::bf16:
    case RowFormat::fp16:
      for (std::int64_t d = 0; d < dim; ++d) {
        const float inside = std::isfinite(values[d]) ? std::clamp(values[d], -65504.0F, 65504.0F) : values[d];
        const std::uint16_t half = format == RowFormat::bf16 ? cpu::to_bf16(values[d]) : cpu::to_fp16(inside);
        std::memcpy(row + 2 * d, &half, sizeof half);
      }
      return;
    case RowFormat::int8:
      return pack_int8(values, dim, row);
  }
}

void unpack_row(RowFormat format, const std::byte* row, std::int64_t dim, float* values) noexcept {
  switch (format) {
    case RowFormat::fp32:
      std::memcpy(values, row, static_cast<std::size_t>(dim) * sizeof(float));
      return;
    case RowFormat::bf16:
    case RowFormat::fp16:
      for (std::int64_t d = 0; d < dim; ++d) {
        std::uint16_t half = 0;
        std::memcpy(&half, row + 2 * d, sizeof half);
        values[d] = format == RowFormat::bf16 ? cpu::from_bf16(half) : cpu::from_fp16(half);
      }
      return;
    case RowFormat::int8: {
      float scale = 0;
      std::memcpy(&scale, row, sizeof scale);
      for (std::int64_t d = 0; d < dim; ++d)
        values[d] = scale * static_cast<float>(static_cast<std::int8_t>(row[4 + d]));
      return;
    }
  }
}

}  // namespace swallowtail
