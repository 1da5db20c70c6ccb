// The idea: ids become keys (rows numbered through all tables), a stable radix sort brings equal rows together in
// (table, bag, position) order, and each run of equal keys, a segment, is one row's update: sum the gradients of its
// bags in that order, step the optimizer, write the row. No atomics touch a sum, so the bits do not depend on timing.
// A segment is served by as many lanes as the row has quads of columns. Rows that occur very often (a batch of 65,536
// may hold one id 30,000 times) would keep one group busy long after the others: their sums are made in pieces by other
// blocks first, and added in the pieces' order.
// Counts that only the device knows (segments, chunks) stay there: grids are sized for the most that the ids allow, and
// stride. So the whole backward can be recorded into a graph.
#pragma once

#include "kernels/cuda/optimizer.cuh"
#include "kernels/cuda/row.cuh"

namespace swallowtail::cuda {

/// The last i of [0, count) with sorted[i] <= value; sorted[0] <= value.
template <typename T>
__device__ inline std::int64_t last_not_above(const T* sorted, std::int64_t count, T value) {
  std::int64_t low = 0, high = count;
  while (high - low > 1) {
    const std::int64_t middle = (low + high) / 2;
    (sorted[middle] <= value ? low : high) = middle;
  }
  return low;
}

/// One thread an id. The search for its bag costs log2(bags) cached reads, and ragged bags cost no more than even ones.
struct LinearizeIds {
  const DeviceTable* tables;
  std::int64_t table_count;
  DeviceBags bags;
  std::uint64_t* keys;   // [ids]
  std::uint32_t* items;  // [ids]
  std::uint32_t* bag_of;
  float* scales;

  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < bags.ids; i += item_stride()) {
      const std::int64_t bag = last_not_above(bags.offsets, table_count * bags.batch, i);
      const DeviceTable& table = tables[bag / bags.batch];
      const std::int64_t size = bags.offsets[bag + 1] - bags.offsets[bag];
      const float scale = table.pooling == Pooling::mean ? 1.0F / static_cast<float>(size) : 1.0F;
      keys[i] = static_cast<std::uint64_t>(table.first_row + bags.values[i]);
      items[i] = static_cast<std::uint32_t>(i);
      bag_of[i] = static_cast<std::uint32_t>(bag);
      scales[i] = bags.weights ? scale * bags.weights[i] : scale;
    }
  }
};

/// heads[i] = 1 where a segment begins.
struct MarkSegments {
  const std::uint64_t* keys;
  std::int64_t* heads;
  std::int64_t ids;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < ids; i += item_stride())
      heads[i] = i == 0 || keys[i] != keys[i - 1] ? 1 : 0;
  }
};

/// starts [ids + 1] from the running count of heads; count[0] = segments.
struct PlaceSegments {
  const std::int64_t* segment_of;  // [ids], 1 for the first segment's
  std::int64_t* starts;
  std::int64_t* count;
  std::int64_t ids;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t i = first_item(); i < ids; i += item_stride()) {
      const std::int64_t segment = segment_of[i];
      if (i == 0 || segment != segment_of[i - 1]) starts[segment - 1] = i;
      if (i == ids - 1) {
        starts[segment] = ids;
        count[0] = segment;
      }
    }
  }
};

/// chunks[s + 1] = pieces of segment s, 0 of short ones and of those that do not exist; chunks[0] = 0. [ids + 1]
struct CountChunks {
  const std::int64_t* starts;
  const std::int64_t* count;
  std::int64_t* chunks;
  std::int64_t ids, long_segment;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t s = first_item(); s < ids; s += item_stride()) {
      if (s == 0) chunks[0] = 0;
      const std::int64_t size = s < count[0] ? starts[s + 1] - starts[s] : 0;
      chunks[s + 1] = size > long_segment ? (size + long_segment - 1) / long_segment : 0;
    }
  }
};

/// What both the pieces' and the rows' sums read.
struct SortedGradients {
  const DeviceTable* tables;
  std::int64_t table_count;
  const std::uint64_t* keys;   // sorted
  const std::uint32_t* items;  // sorted alike
  const std::uint32_t* bag_of;
  const float* scales;
  const float* gradient;  // [batch, width]
  const std::int64_t* gradient_rows;  // [batch] which row of `gradient` is a sample's, or null: its own
  std::int64_t batch, width;

  __device__ std::int64_t table_of(std::uint64_t row) const {
    std::int64_t low = 0, high = table_count;
    while (high - low > 1) {
      const std::int64_t middle = (low + high) / 2;
      (static_cast<std::uint64_t>(tables[middle].first_row) <= row ? low : high) = middle;
    }
    return low;
  }
  /// The sum over the sorted places [begin, end), in their order.
  __device__ Quad sum(const DeviceTable& table, std::int64_t begin, std::int64_t end, int quad) const {
    constexpr int kInFlight = 4;
    const bool aligned = table.dim % 4 == 0 && table.out_column % 4 == 0 && width % 4 == 0;
    Quad total{};
    std::int64_t i = begin;
    for (; i + kInFlight <= end; i += kInFlight) {
      Quad from[kInFlight];
      float scale[kInFlight];
      for (int r = 0; r < kInFlight; ++r) from[r] = load(table, i + r, quad, aligned, scale[r]);
      for (int r = 0; r < kInFlight; ++r)
        for (int k = 0; k < 4; ++k) total.at[k] += scale[r] * from[r].at[k];
    }
    for (; i < end; ++i) {
      float scale;
      const Quad from = load(table, i, quad, aligned, scale);
      for (int k = 0; k < 4; ++k) total.at[k] += scale * from.at[k];
    }
    return total;
  }

 private:
  __device__ Quad load(const DeviceTable& table, std::int64_t place, int quad, bool aligned, float& scale) const {
    const std::uint32_t item = items[place];
    const std::int64_t sample = bag_of[item] % batch, row = gradient_rows ? gradient_rows[sample] : sample;
    scale = scales[item];
    return load_quad(gradient + row * width + table.out_column, quad, table.dim, aligned);
  }
};

/// partial_sums[chunk, :] of long segments. A group of lanes a chunk.
struct SumChunks {
  static constexpr int kResidentBlocks = 3;

  SortedGradients sorted;
  const std::int64_t* starts;
  const std::int64_t* count;
  const std::int64_t* first_chunk;  // [ids + 1], running sums
  float* partial_sums;              // [chunks, stride]
  std::int64_t long_segment, stride;
  int lanes;

  __device__ void operator()(SharedMemory) const {
    const std::int64_t segments = count[0], chunks = first_chunk[segments];
    const std::int64_t groups_a_block = kBlockThreads / lanes;
    for (std::int64_t chunk = blockIdx.x * groups_a_block + static_cast<int>(threadIdx.x) / lanes; chunk < chunks;
         chunk += gridDim.x * groups_a_block) {
      const std::int64_t segment = last_not_above(first_chunk, segments, chunk);
      const std::int64_t begin = starts[segment] + (chunk - first_chunk[segment]) * long_segment;
      const std::int64_t end = begin + long_segment < starts[segment + 1] ? begin + long_segment : starts[segment + 1];
      const DeviceTable& table = sorted.tables[sorted.table_of(sorted.keys[begin])];
      const int quads = (table.dim + 3) / 4;
      for (int quad = static_cast<int>(threadIdx.x) % lanes; quad < quads; quad += lanes)
        store_quad(partial_sums + chunk * stride, quad, static_cast<int>(stride), sorted.sum(table, begin, end, quad),
                   true);
    }
  }
};

/// shares[segment] = what the bags of its places weigh in the row's decay, added in their order. One thread a segment:
/// in UpdateRows itself the loop cost 16 registers and spills.
struct DecayShares {
  SortedGradients sorted;
  const std::int64_t* starts;
  const std::int64_t* count;
  const float* bag_decay;  // [batch]
  float* shares;
  __device__ void operator()(SharedMemory) const {
    for (std::int64_t segment = first_item(); segment < count[0]; segment += item_stride()) {
      float sum = 0;
      for (std::int64_t i = starts[segment]; i < starts[segment + 1]; ++i)
        sum += bag_decay[sorted.bag_of[sorted.items[i]] % sorted.batch];
      shares[segment] = sum;
    }
  }
};

/// One group of `lanes` lanes a segment; a lane keeps kQuads quads of the row's gradient in registers.
template <int kQuads>
struct UpdateRows {
  static constexpr int kResidentBlocks = kQuads == 1 ? 3 : kQuads == 2 ? 2 : 1;

  SortedGradients sorted;
  const std::int64_t* starts;
  const std::int64_t* count;
  const std::int64_t* first_chunk;  // null: there are no long segments
  const float* partial_sums;
  std::int64_t stride;
  Rates step_rates;
  const Rates* table_rates;  // [tables], or null: step_rates are all tables'
  const float* shares;       // [segments] of DecayShares, or null: a row decays once
  const float* mean_squares;  // [ids] of rows that split their statistic, by the segment's begin
  float* squares;             // [ids] likewise; not null: they are all that is written
  unsigned long long* bad_row;
  int lanes;

  __device__ void operator()(SharedMemory) const {
    const std::int64_t segments = count[0];
    const std::int64_t groups_a_block = kBlockThreads / lanes;
    for (std::int64_t segment = blockIdx.x * groups_a_block + static_cast<int>(threadIdx.x) / lanes; segment < segments;
         segment += gridDim.x * groups_a_block)
      update(segment);
  }

 private:
  static constexpr std::uint64_t kRounding = random::purpose("stochastic rounding");

  __device__ void update(std::int64_t segment) const {
    const std::uint64_t key = sorted.keys[starts[segment]];
    const std::int64_t t = sorted.table_of(key);
    const DeviceTable& table = sorted.tables[t];
    if (squares && !table.splits_statistic) return;
    const Rates& rates = table_rates ? table_rates[t] : step_rates;  // read where it is used: 13 registers less
    const float decay = shares ? rates.decay * shares[segment] : rates.decay;
    const std::int64_t row = static_cast<std::int64_t>(key) - table.first_row;
    const int lane = static_cast<int>(threadIdx.x) % lanes, dim = table.dim, quads = (dim + 3) / 4;
    Quad gradient[kQuads], weight[kQuads];
    bool good = true;
    SWALLOWTAIL_UNROLL
    for (int q = 0; q < kQuads; ++q) {
      const int quad = lane + q * lanes;
      gradient[q] = weight[q] = Quad{};
      if (quad >= quads) continue;
      weight[q] = load_row_quad(table, row, quad);
      gradient[q] = total(table, segment, quad);
      for (int k = 0; k < 4; ++k) {
        if (4 * quad + k < dim && decay != 0) gradient[q].at[k] += decay * weight[q].at[k];
        good = good && is_finite(gradient[q].at[k]);
      }
    }
    const unsigned mask = group_mask(lanes);
    if (squares) {
      const float sum = square_sum(gradient, quads, mask);
      if (lane == 0) squares[starts[segment]] = sum;
      return;
    }
    if (!__all_sync(mask, good)) {
      if (lane == 0) atomicMin(bad_row, static_cast<unsigned long long>(key));
      return;  // the group as one: all its lanes saw the same vote
    }
    float row_rate = 0;
    if (rates.kind == Optimizer::rowwise_adagrad) {
      float* const statistic = table.state + row;
      const float mean = table.splits_statistic ? mean_squares[starts[segment]]
                                                : square_sum(gradient, quads, mask) / static_cast<float>(dim);
      const float sum = *statistic + mean;
      row_rate = rates.rate / (sqrtf(sum) + rates.epsilon);
      __syncwarp(mask);  // every lane has read the statistic
      if (lane == 0) *statistic = sum;
    }
    const std::uint64_t row_key =
        random::bits(table.rounding.seed, kRounding ^ table.rounding.table,
                     static_cast<std::uint64_t>(rates.step), static_cast<std::uint64_t>(table.rounding.first_row + row));
    SWALLOWTAIL_UNROLL
    for (int q = 0; q < kQuads; ++q) {
      const int quad = lane + q * lanes;
      if (quad >= quads) continue;
      apply(rates, table, row, quad, gradient[q], row_rate, weight[q]);
      store_row_quad(table, row, quad, weight[q], row_key);
    }
  }

  __device__ Quad total(const DeviceTable& table, std::int64_t segment, int quad) const {
    if (first_chunk && first_chunk[segment + 1] != first_chunk[segment]) {
      Quad sum{};
      for (std::int64_t chunk = first_chunk[segment]; chunk < first_chunk[segment + 1]; ++chunk) {
        const Quad piece = load_quad(partial_sums + chunk * stride, quad, static_cast<int>(stride), true);
        for (int k = 0; k < 4; ++k) sum.at[k] += piece.at[k];
      }
      return sum;
    }
    return sorted.sum(table, starts[segment], starts[segment + 1], quad);
  }

  /// Sum of the squares in pieces of four columns, added in their order (kSquareColumns): one shuffle a piece, 32 for a
  /// row of 128, which the loads of the next rows hide; a tree of 5 would have other bits than the host.
  __device__ float square_sum(const Quad (&gradient)[kQuads], int quads, unsigned mask) const {
    float sum = 0;
    SWALLOWTAIL_UNROLL
    for (int q = 0; q < kQuads; ++q) {
      float piece = 0;
      for (int k = 0; k < 4; ++k) piece += gradient[q].at[k] * gradient[q].at[k];
      for (int lane = 0; lane < lanes; ++lane) {
        const float next = __shfl_sync(mask, piece, lane, lanes);
        if (q * lanes + lane < quads) sum += next;
      }
    }
    return sum;
  }

  __device__ void apply(const Rates& rates, const DeviceTable& table, std::int64_t row, int quad, const Quad& gradient,
                        float row_rate, Quad& weight) const {
    const int dim = table.dim;
    const bool aligned = dim % 4 == 0;
    switch (rates.kind) {
      case Optimizer::sgd:
        for (int k = 0; k < 4; ++k) weight.at[k] -= rates.rate * gradient.at[k];
        return;
      case Optimizer::rowwise_adagrad:
        for (int k = 0; k < 4; ++k) weight.at[k] -= row_rate * gradient.at[k];
        return;
      case Optimizer::adagrad: {
        float* const state = table.state + row * dim;
        Quad sum = load_quad(state, quad, dim, aligned);
        for (int k = 0; k < 4; ++k) weight.at[k] = adagrad_weight(rates, weight.at[k], gradient.at[k], sum.at[k]);
        store_quad(state, quad, dim, sum, aligned);
        return;
      }
      default: {
        float* const firsts = table.state + row * 2 * dim;
        float* const seconds = firsts + dim;
        Quad first = load_quad(firsts, quad, dim, aligned), second = load_quad(seconds, quad, dim, aligned);
        for (int k = 0; k < 4; ++k)
          weight.at[k] = adam_weight(rates, weight.at[k], gradient.at[k], first.at[k], second.at[k]);
        store_quad(firsts, quad, dim, first, aligned);
        store_quad(seconds, quad, dim, second, aligned);
        return;
      }
    }
  }
};

}  // namespace swallowtail::cuda
