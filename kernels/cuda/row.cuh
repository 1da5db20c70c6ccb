// Four columns of an embedding row at a time, whatever the row's type.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/embedding.h"
#include "kernels/random.h"

namespace swallowtail::cuda {

struct Quad {
  float at[4];
};

__device__ inline float half_of(unsigned bits) {
  __half value;
  const auto narrow = static_cast<std::uint16_t>(bits);
  memcpy(&value, &narrow, sizeof value);
  return __half2float(value);
}
__device__ inline float bfloat16_of(unsigned bits) { return __uint_as_float(bits << 16); }
__device__ inline unsigned bits_of(__half value) {
  std::uint16_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// Columns 4q … 4q + 3 of fp32; those beyond dim are 0. Rows of a multiple of 4 columns are read as vectors.
__device__ inline Quad load_quad(const float* row, int quad, int dim) {
  Quad out{};
  if (dim % 4 == 0) {
    const auto four = load_vector<float4>(row + 4 * quad);
    return {{four.x, four.y, four.z, four.w}};
  }
  for (int k = 0; k < 4; ++k)
    if (4 * quad + k < dim) out.at[k] = row[4 * quad + k];
  return out;
}
__device__ inline void store_quad(float* row, int quad, int dim, const Quad& value) {
  if (dim % 4 == 0) {
    store_vector(row + 4 * quad, make_float4(value.at[0], value.at[1], value.at[2], value.at[3]));
    return;
  }
  for (int k = 0; k < 4; ++k)
    if (4 * quad + k < dim) row[4 * quad + k] = value.at[k];
}

__device__ inline Quad load_row_quad(const DeviceTable& table, std::int64_t row, int quad) {
  const int dim = table.dim;
  switch (table.type) {
    case RowType::fp32:
      return load_quad(static_cast<const float*>(table.rows) + row * dim, quad, dim);
    case RowType::int8: {
      const auto* const bytes = static_cast<const signed char*>(table.rows) + row * row_bytes(RowType::int8, dim);
      const float scale = *reinterpret_cast<const float*>(bytes);
      const unsigned four = *reinterpret_cast<const unsigned*>(bytes + 4 + 4 * quad);  // padded: always whole
      Quad out{};
      for (int k = 0; k < 4; ++k)
        if (4 * quad + k < dim) out.at[k] = scale * static_cast<float>(static_cast<signed char>(four >> (8 * k)));
      return out;
    }
    default: {
      const auto* const halves = static_cast<const std::uint16_t*>(table.rows) + row * dim + 4 * quad;
      const bool is_half = table.type == RowType::fp16;
      unsigned bits[4] = {};
      if (dim % 4 == 0) {
        const auto pair = load_vector<uint2>(halves);
        bits[0] = pair.x & 0xffffU, bits[1] = pair.x >> 16, bits[2] = pair.y & 0xffffU, bits[3] = pair.y >> 16;
      } else {
        for (int k = 0; k < 4; ++k)
          if (4 * quad + k < dim) bits[k] = halves[k];
      }
      Quad out;
      for (int k = 0; k < 4; ++k) out.at[k] = is_half ? half_of(bits[k]) : bfloat16_of(bits[k]);
      return out;
    }
  }
}

/// One of the two 16-bit neighbours of `value`, the nearer with the greater probability, so that the mean over `random`
/// is the value itself: small updates are not lost. Values that 16 bits hold stay. Not finite ones are not handled.
/// bf16: adds random low bits and cuts. fp16: the same on the distance to the neighbours.
/// Source    Gupta et al., arXiv:1502.02551.
__device__ inline unsigned round_row(RowType type, float value, unsigned random) {
  if (type == RowType::bf16) return (__float_as_uint(value) + (random & 0xffffU)) >> 16;
  const unsigned nearest = bits_of(__float2half_rn(value));
  const float near_value = half_of(nearest);
  if (near_value == value || (nearest & 0x7fffU) >= 0x7c00U) return nearest;
  // The neighbour on the other side of `value`: one step of the magnitude's bits, away from or towards zero.
  const bool away = (near_value < value) == (value > 0);
  const unsigned other = (nearest & 0x7fffU) == 0 && !away ? nearest : away ? nearest + 1 : nearest - 1;
  const float other_value = half_of(other);
  const float share = (value - near_value) / (other_value - near_value);  // in (0, 1/2]
  const float draw = static_cast<float>(random >> 8) * 0x1p-24F;          // in [0, 1)
  return draw < share && (other & 0x7fffU) < 0x7c00U ? other : nearest;
}

struct RowRounding {
  std::uint64_t seed;
  std::int64_t step;
};

__device__ inline void store_row_quad(const DeviceTable& table, std::int64_t row, int quad, const Quad& value,
                                      const RowRounding& rounding) {
  const int dim = table.dim;
  if (table.type == RowType::fp32) {
    store_quad(static_cast<float*>(table.rows) + row * dim, quad, dim, value);
    return;
  }
  // 64 bits make four draws of 16; fp16 wants more than 16 - 10 of them only for the subnormals.
  const std::uint64_t draws =
      random::bits(rounding.seed, random::purpose("row_rounding"), static_cast<std::uint64_t>(rounding.step),
                   static_cast<std::uint64_t>((table.first_row + row) * kMaxDim + 4 * quad));
  auto* const halves = static_cast<std::uint16_t*>(table.rows) + row * dim + 4 * quad;
  for (int k = 0; k < 4; ++k) {
    const auto draw = static_cast<unsigned>(draws >> (16 * k)) & 0xffffU;
    if (4 * quad + k < dim)
      halves[k] = static_cast<std::uint16_t>(round_row(table.type, value.at[k], draw | draw << 16));
  }
}

}  // namespace swallowtail::cuda
