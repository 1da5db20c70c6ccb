// The idea: a bag is served by as many lanes as its row has quads of columns (a power of two, 32 at most), so that a
// row of 16 floats does not idle 28 lanes. The ids of a bag are read by all its lanes at once, four at a time, and the
// four rows are under way together before the first is added: the device hides latency by loads in flight, and the order
// of the additions stays that of the bag.
// A block belongs to one table (blockIdx.y), so that its threads agree on the shape.
#pragma once

#include "kernels/cuda/row.cuh"

namespace swallowtail::cuda {

struct PooledForward {
  const DeviceTable* tables;  // [gridDim.y]
  DeviceBags bags;
  float* out;  // [batch, width]
  std::int64_t width;

  static constexpr int kRowsInFlight = 4;

  static std::int64_t blocks(std::int64_t batch, std::int64_t max_dim) {
    return divide_up(batch * lanes_for(static_cast<int>(divide_up(max_dim, 4))), kBlockThreads);
  }

  __device__ void operator()(SharedMemory) const {
    const DeviceTable& table = tables[blockIdx.y];
    const int dim = table.dim, quads = (dim + 3) / 4, lanes = lanes_for(quads);
    const std::int64_t bag =
        static_cast<std::int64_t>(blockIdx.x) * (kBlockThreads / lanes) + static_cast<int>(threadIdx.x) / lanes;
    if (bag >= bags.batch) return;
    const std::int64_t at = blockIdx.y * bags.batch + bag, begin = bags.offsets[at], end = bags.offsets[at + 1];
    float* const to = out + bag * width + table.out_column;
    for (int quad = static_cast<int>(threadIdx.x) % lanes; quad < quads; quad += lanes) {
      Quad sum{};
      std::int64_t i = begin;
      for (; i + kRowsInFlight <= end; i += kRowsInFlight) {
        Quad rows[kRowsInFlight];
        for (int r = 0; r < kRowsInFlight; ++r) rows[r] = load_row_quad(table, bags.values[i + r], quad);
        for (int r = 0; r < kRowsInFlight; ++r) add(sum, rows[r], i + r);
      }
      for (; i < end; ++i) add(sum, load_row_quad(table, bags.values[i], quad), i);
      if (table.pooling == Pooling::mean && end - begin > 1) {
        const float inverse = 1.0F / static_cast<float>(end - begin);
        for (float& value : sum.at) value *= inverse;
      }
      // The output's columns need not be aligned: another table's odd width may stand before them.
      for (int k = 0; k < 4; ++k)
        if (4 * quad + k < dim) to[4 * quad + k] = sum.at[k];
    }
  }

 private:
  __device__ void add(Quad& sum, const Quad& row, std::int64_t i) const {
    const float weight = bags.weights ? bags.weights[i] : 1.0F;
    for (int k = 0; k < 4; ++k) sum.at[k] += weight * row.at[k];
  }
};

}  // namespace swallowtail::cuda
