// kernels/cuda/gemm.h on the host: plain loops over the emulator's checked memory, products added in order of k. What
// is rounded is rounded as the tensor cores round it: 16-bit inputs as they are, TF32 to 10 bits of mantissa.
#include "kernels/cuda/gemm.h"

#include <bit>
#include <vector>

#include "tests/emulator/emulated_cuda.h"

namespace swallowtail::cuda {

namespace {

float tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7f800000U) == 0x7f800000U) return value;
  return std::bit_cast<float>((bits + 0x1000U) & ~0x1fffU);
}

/// The matrix as the product takes it, [rows, columns].
std::vector<float> fetch(Precision precision, const Matrix& of, std::int64_t rows, std::int64_t columns) {
  const std::int64_t lines = of.transposed ? columns : rows, width = of.transposed ? rows : columns;
  const std::int64_t bytes = element_bytes(precision);
  std::vector<float> made(static_cast<std::size_t>(rows * columns));
  std::vector<std::byte> line(static_cast<std::size_t>(width * bytes));
  for (std::int64_t i = 0; i < lines; ++i) {
    emulator::copy_to_host(line.data(), static_cast<const std::byte*>(of.data) + i * of.stride * bytes, line.size());
    for (std::int64_t j = 0; j < width; ++j) {
      float value = 0;
      std::uint16_t half = 0;
      if (is_half(precision)) {
        std::memcpy(&half, line.data() + j * bytes, sizeof half);
        value = precision == Precision::fp16 ? emulator::from_half(half) : emulator::from_bfloat16(half);
      } else {
        std::memcpy(&value, line.data() + j * bytes, sizeof value);
        if (precision == Precision::tf32) value = tf32(value);
      }
      made[static_cast<std::size_t>(of.transposed ? j * columns + i : i * columns + j)] = value;
    }
  }
  return made;
}

}  // namespace

Gemm::Gemm(Stream& stream) : stream_(&stream) {}
Gemm::~Gemm() = default;

void Gemm::multiply(Precision precision, const Shape& shape, const Matrix& a, const Matrix& b, float* c,
                    std::int64_t c_stride, bool add) {
  emulator::enqueue(*stream_, [=] {
    const auto left = fetch(precision, a, shape.m, shape.k), right = fetch(precision, b, shape.k, shape.n);
    std::vector<float> row(static_cast<std::size_t>(shape.n));
    for (std::int64_t i = 0; i < shape.m; ++i) {
      auto* const to = reinterpret_cast<std::byte*>(c + i * c_stride);
      row.assign(row.size(), 0.0F);
      if (add) emulator::copy_to_host(reinterpret_cast<std::byte*>(row.data()), to, row.size() * sizeof(float));
      for (std::int64_t k = 0; k < shape.k; ++k) {
        const float factor = left[static_cast<std::size_t>(i * shape.k + k)];
        const float* const from = right.data() + k * shape.n;
        for (std::int64_t j = 0; j < shape.n; ++j) row[static_cast<std::size_t>(j)] += factor * from[j];
      }
      emulator::copy_to_device(to, row.data(), row.size() * sizeof(float));
    }
  });
}

}  // namespace swallowtail::cuda
