// The idea: a thread takes four columns of a row at a time. The backward's blocks take 256 rows of up to 128 columns,
// so that the bias gradient's sums stay in registers, then in shared memory, and 1/256 of the elements goes out to be
// added by a second kernel: no atomics, hence the same bits always.
#pragma once

#include "kernels/cuda/activation.h"
#include "kernels/cuda/row.cuh"

namespace swallowtail::cuda {

constexpr int kSumRows = 256;    // of a piece
constexpr int kSumColumns = 32;  // of a block that adds pieces

/// Four elements at a row's beginning + 4 * quad; fp32 may be cut at `columns` or unaligned, halves are never.
template <Precision kPrecision>
struct Quads {
  __device__ static Quad load(const void* data, std::int64_t at, int quad, int columns, bool aligned) {
    if constexpr (is_half(kPrecision)) {
      const auto pair = load_vector<uint2>(static_cast<const std::uint16_t*>(data) + at + 4 * quad);
      const unsigned bits[4]{pair.x & 0xffffU, pair.x >> 16, pair.y & 0xffffU, pair.y >> 16};
      Quad out{};
      for (int k = 0; k < 4; ++k) out.at[k] = kPrecision == Precision::fp16 ? from_fp16(bits[k]) : from_bf16(bits[k]);
      return out;
    } else {
      return load_quad(static_cast<const float*>(data) + at, quad, columns, aligned);
    }
  }
  __device__ static void store(void* data, std::int64_t at, int quad, int columns, bool aligned, const Quad& value) {
    if constexpr (is_half(kPrecision)) {
      unsigned bits[4];
      for (int k = 0; k < 4; ++k) bits[k] = kPrecision == Precision::fp16 ? to_fp16(value.at[k]) : to_bf16(value.at[k]);
      uint2 pair;
      pair.x = bits[0] | bits[1] << 16, pair.y = bits[2] | bits[3] << 16;
      store_vector(static_cast<std::uint16_t*>(data) + at + 4 * quad, pair);
    } else {
      store_quad(static_cast<float*>(data) + at, quad, columns, value, aligned);
    }
  }
};

struct ActivationFrame {
  std::int64_t rows, stride;  // of the outer matrix
  int columns, outer_columns;
  bool relu, aligned;  // aligned: the outer matrix may be read by vectors

  ActivationFrame(const Layer& layer, const void* outer, std::int64_t outer_stride)
      : rows(layer.rows),
        stride(outer_stride),
        columns(static_cast<int>(layer.columns)),
        outer_columns(static_cast<int>(layer.outer_columns)),
        relu(layer.relu),
        aligned(outer_stride % 4 == 0 && layer.outer_columns % 4 == 0 &&
                reinterpret_cast<std::uintptr_t>(outer) % 16 == 0) {}
};

template <Precision kOut>
struct Activate {
  ActivationFrame frame;
  const float* sums;
  const float* bias;
  const StepFacts* facts;
  void* out;
  std::uint64_t seed, layer;
  std::uint64_t threshold;  // of 2^32: below it a unit is dropped; 0: no dropout
  float keep;

  static constexpr std::uint64_t kPurpose = random::purpose("dropout");

  __device__ void operator()(SharedMemory) const {
    const int quads = frame.columns / 4;
    for (std::int64_t item = first_item(); item < frame.rows * quads; item += item_stride()) {
      const std::int64_t row = item / quads;
      const int quad = static_cast<int>(item % quads);
      if (4 * quad >= frame.outer_columns) continue;
      Quad value = load_quad(sums + row * frame.columns, quad, frame.columns, true);
      const Quad more = load_quad(bias, quad, frame.columns, true);
      for (int k = 0; k < 4; ++k) {
        const float sum = value.at[k] + more.at[k];
        value.at[k] = !frame.relu || sum > 0 || sum != sum ? sum : 0.0F;
      }
      if (threshold != 0) drop(value, row, quad);
      Quads<kOut>::store(out, row * frame.stride, quad, frame.outer_columns, frame.aligned, value);
    }
  }

 private:
  /// 64 bits serve two units, as on the host.
  __device__ void drop(Quad& value, std::int64_t row, int quad) const {
    const std::uint64_t key = random::bits(seed, kPurpose ^ layer, static_cast<std::uint64_t>(facts->step),
                                           static_cast<std::uint64_t>(facts->first_sample + row));
    for (int k = 0; k < 4; k += 2) {
      const std::uint64_t draw = random::mix(key + static_cast<std::uint64_t>(4 * quad + k));
      value.at[k] *= (draw >> 32) < threshold ? 0.0F : keep;
      value.at[k + 1] *= (draw & 0xffffffffULL) < threshold ? 0.0F : keep;
    }
  }
};

/// blockIdx.x: a piece of kSumRows rows; blockIdx.y: 4 * lanes columns.
template <Precision kOut, Precision kInner>
struct ActivateBackward {
  ActivationFrame frame;  // the outer matrix is the gradient
  const float* gradient;
  const void* out;
  std::int64_t out_stride;
  void* inner;
  std::int64_t inner_stride;
  float* partial_sums;  // [pieces, columns]
  float keep;
  int lanes;

  static std::int64_t shared_bytes() { return shared_part<float>(4 * kBlockThreads); }

  __device__ void operator()(SharedMemory memory) const {
    float* const shared = memory.take<float>(4 * kBlockThreads);
    const int lane = static_cast<int>(threadIdx.x) % lanes, line = static_cast<int>(threadIdx.x) / lanes;
    const int lines = kBlockThreads / lanes, quad = static_cast<int>(blockIdx.y) * lanes + lane;
    const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kSumRows;
    const std::int64_t end = begin + kSumRows < frame.rows ? begin + kSumRows : frame.rows;
    Quad sum{};
    if (4 * quad < frame.columns)
      for (std::int64_t row = begin + line; row < end; row += lines) {
        const Quad value = through(row, quad);
        Quads<kInner>::store(inner, row * inner_stride, quad, frame.columns, true, value);
        for (int k = 0; k < 4; ++k) sum.at[k] += value.at[k];
      }
    for (int k = 0; k < 4; ++k) shared[(line * lanes + lane) * 4 + k] = sum.at[k];
    __syncthreads();
    for (int column = static_cast<int>(threadIdx.x); column < 4 * lanes; column += kBlockThreads) {
      const int at = static_cast<int>(blockIdx.y) * 4 * lanes + column;
      if (at >= frame.columns) continue;
      float total = 0;
      for (int l = 0; l < lines; ++l) total += shared[l * 4 * lanes + column];
      partial_sums[static_cast<std::int64_t>(blockIdx.x) * frame.columns + at] = total;
    }
  }

 private:
  __device__ Quad through(std::int64_t row, int quad) const {
    if (4 * quad >= frame.outer_columns) return Quad{};
    Quad value = load_quad(gradient + row * frame.stride, quad, frame.outer_columns, frame.aligned);
    if (!frame.relu) return value;
    const bool aligned = is_half(kOut) || (frame.aligned && out_stride % 4 == 0);
    const Quad made = Quads<kOut>::load(out, row * out_stride, quad, frame.outer_columns, aligned);
    for (int k = 0; k < 4; ++k) value.at[k] = made.at[k] > 0 ? value.at[k] * keep : 0.0F;
    return value;
  }
};

/// sums[c] = partial[0, c] + partial[1, c] + …, in eight runs of pieces that are added in order.
struct AddPieces {
  const float* partial_sums;
  float* sums;
  std::int64_t pieces;
  int columns;

  static constexpr int kRuns = kBlockThreads / kSumColumns;
  static std::int64_t shared_bytes() { return shared_part<float>(kBlockThreads); }

  __device__ void operator()(SharedMemory memory) const {
    float* const shared = memory.take<float>(kBlockThreads);
    const int lane = static_cast<int>(threadIdx.x) % kSumColumns, run = static_cast<int>(threadIdx.x) / kSumColumns;
    const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kSumColumns + lane;
    const std::int64_t begin = pieces * run / kRuns, end = pieces * (run + 1) / kRuns;
    float sum = 0;
    if (column < columns)
      for (std::int64_t piece = begin; piece < end; ++piece) sum += partial_sums[piece * columns + column];
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (run != 0 || column >= columns) return;
    float total = 0;
    for (int r = 0; r < kRuns; ++r) total += shared[r * kSumColumns + lane];
    sums[column] = total;
  }
};

struct CopyColumns {
  Extent extent;
  Strided from, to;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < extent.rows * extent.columns; i += item_stride()) {
      const std::int64_t row = i / extent.columns, column = i % extent.columns;
      to.data[row * to.stride + column] = from.data[row * from.stride + column];
    }
  }
};

struct SumColumns {
  Extent extent;
  Strided a, b, to;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < extent.rows * extent.columns; i += item_stride()) {
      const std::int64_t row = i / extent.columns, column = i % extent.columns;
      to.data[row * to.stride + column] = a.data[row * a.stride + column] + b.data[row * b.stride + column];
    }
  }
};

}  // namespace swallowtail::cuda
