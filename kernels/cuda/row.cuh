// Four columns of an embedding row at a time, whatever the row's format.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/embedding.h"
#include "kernels/cuda/half.cuh"
#include "kernels/random.h"

namespace swallowtail::cuda {

struct Quad {
  float at[4];
};

/// Bytes of a row, as row_bytes(), which is the host's.
__device__ inline std::int64_t bytes_of_row(RowFormat format, std::int64_t dim) {
  return format == RowFormat::fp32 ? 4 * dim : format == RowFormat::int8 ? 4 + (dim + 3) / 4 * 4 : (2 * dim + 3) / 4 * 4;
}
__device__ inline unsigned char* row_of(const DeviceTable& table, std::int64_t row) {
  return static_cast<unsigned char*>(table.rows) + row * bytes_of_row(table.format, table.dim);
}

/// Columns 4q … 4q + 3 of fp32; those beyond dim are 0. `aligned`: a vector may be read.
__device__ inline Quad load_quad(const float* row, int quad, int dim, bool aligned) {
  Quad out{};
  if (aligned) {
    const auto four = load_vector<float4>(row + 4 * quad);
    return {{four.x, four.y, four.z, four.w}};
  }
  for (int k = 0; k < 4; ++k)
    if (4 * quad + k < dim) out.at[k] = row[4 * quad + k];
  return out;
}
__device__ inline void store_quad(float* row, int quad, int dim, const Quad& value, bool aligned) {
  if (aligned) {
    store_vector(row + 4 * quad, make_float4(value.at[0], value.at[1], value.at[2], value.at[3]));
    return;
  }
  for (int k = 0; k < 4; ++k)
    if (4 * quad + k < dim) row[4 * quad + k] = value.at[k];
}

__device__ inline Quad load_row_quad(const DeviceTable& table, std::int64_t row, int quad) {
  const int dim = table.dim;
  const unsigned char* const bytes = row_of(table, row);
  if (table.format == RowFormat::fp32)
    return load_quad(reinterpret_cast<const float*>(bytes), quad, dim, dim % 4 == 0);
  Quad out{};
  if (table.format == RowFormat::int8) {
    const float scale = *reinterpret_cast<const float*>(bytes);
    const unsigned four = *reinterpret_cast<const unsigned*>(bytes + 4 + 4 * quad);  // padded: always whole
    for (int k = 0; k < 4; ++k)
      if (4 * quad + k < dim) out.at[k] = scale * static_cast<float>(static_cast<signed char>((four >> (8 * k)) & 0xffU));
    return out;
  }
  const auto* const halves = reinterpret_cast<const std::uint16_t*>(bytes) + 4 * quad;
  unsigned bits[4] = {};
  if (dim % 4 == 0) {
    const auto pair = load_vector<uint2>(halves);
    bits[0] = pair.x & 0xffffU, bits[1] = pair.x >> 16, bits[2] = pair.y & 0xffffU, bits[3] = pair.y >> 16;
  } else {
    for (int k = 0; k < 4; ++k)
      if (4 * quad + k < dim) bits[k] = halves[k];
  }
  for (int k = 0; k < 4; ++k) out.at[k] = table.format == RowFormat::fp16 ? from_fp16(bits[k]) : from_bf16(bits[k]);
  return out;
}

/// row_key: rounding_key_of() of the row.
__device__ inline void store_row_quad(const DeviceTable& table, std::int64_t row, int quad, const Quad& value,
                                      std::uint64_t row_key) {
  const int dim = table.dim;
  if (table.format == RowFormat::fp32) {
    store_quad(reinterpret_cast<float*>(row_of(table, row)), quad, dim, value, dim % 4 == 0);
    return;
  }
  const std::uint64_t draws = random::mix(row_key + static_cast<std::uint64_t>(quad));
  auto* const halves = reinterpret_cast<std::uint16_t*>(row_of(table, row)) + 4 * quad;
  for (int k = 0; k < 4; ++k) {
    const auto draw = static_cast<unsigned>(draws >> (16 * k)) & 0xffffU;
    if (4 * quad + k < dim)
      halves[k] = static_cast<std::uint16_t>(table.format == RowFormat::bf16 ? to_bf16_stochastic(value.at[k], draw)
                                                                             : to_fp16_stochastic(value.at[k], draw));
  }
}

}  // namespace swallowtail::cuda
