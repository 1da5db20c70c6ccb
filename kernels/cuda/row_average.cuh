// The idea: a row may stand many times in a batch and must be visited once. The first group of lanes that swaps its own
// step into step_of takes the row; who that is changes nothing, for all would compute the same.
#pragma once

#include "kernels/cuda/embedding_backward.cuh"
#include "kernels/cuda/row_average.h"

namespace swallowtail::cuda {

/// d_{from+1} * … * d_to
__device__ inline double decay_product(const DecayTable& decays, std::int64_t from, std::int64_t to) {
  if (to <= from) return 1;
  const auto log_until = [&](std::int64_t step) {
    const std::int64_t over = step > decays.warm_up ? step - decays.warm_up : 0;
    return decays.log_prefix[step - over] + static_cast<double>(over) * decays.log_decay;
  };
  return exp(log_until(to) - log_until(from));
}

__device__ inline void catch_up(const DeviceTable& table, const RowAverage& of, std::int64_t row, float rested,
                                int lane, int lanes) {
  const float* const weights = static_cast<const float*>(table.rows) + row * table.dim;
  float* const average = of.average + row * table.dim;
  for (int d = lane; d < table.dim; d += lanes) average[d] = weights[d] + rested * (average[d] - weights[d]);
}

/// kAfter: the second of a step's two calls. A group of `lanes` lanes an id.
template <bool kAfter>
struct AverageRows {
  const DeviceTable* tables;
  std::int64_t table_count;
  const RowAverage* averages;
  DecayTable decays;
  const StepFacts* facts;
  DeviceBags bags;
  int lanes;

  __device__ void operator()(SharedMemory) const {
    const std::int64_t groups_a_block = kBlockThreads / lanes;
    const int lane = static_cast<int>(threadIdx.x) % lanes;
    for (std::int64_t i = blockIdx.x * groups_a_block + static_cast<int>(threadIdx.x) / lanes; i < bags.ids;
         i += gridDim.x * groups_a_block) {
      const std::int64_t bag = last_not_above(bags.offsets, table_count * bags.batch, i);
      const std::int64_t t = bag / bags.batch, row = bags.values[i];
      const DeviceTable& table = tables[t];
      const RowAverage& of = averages[t];
      const int now = static_cast<int>(2 * facts->step) + (kAfter ? 1 : 0);
      int before = 0;
      if (lane == 0) before = atomicExch(of.step_of + row, now);
      before = __shfl_sync(group_mask(lanes), before, 0, lanes);
      if (before == now) continue;  // another group has it
      if (kAfter) {
        take_share(table, of, row, lane);
      } else {
        const double rested = decay_product(decays, before / 2, facts->step - 1);
        catch_up(table, of, row, static_cast<float>(rested), lane, lanes);
      }
    }
  }

 private:
  __device__ void take_share(const DeviceTable& table, const RowAverage& of, std::int64_t row, int lane) const {
    const float share = facts->average_share;
    const float* const weights = static_cast<const float*>(table.rows) + row * table.dim;
    float* const average = of.average + row * table.dim;
    for (int d = lane; d < table.dim; d += lanes) average[d] += share * (weights[d] - average[d]);
  }
};

/// blockIdx.y: the table. A warp a row.
struct SettleRows {
  const DeviceTable* tables;
  const RowAverage* averages;
  DecayTable decays;
  std::int64_t step;

  __device__ void operator()(SharedMemory) const {
    const DeviceTable& table = tables[blockIdx.y];
    const RowAverage& of = averages[blockIdx.y];
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for (std::int64_t row = first_item() / 32; row < table.row_count; row += item_stride() / 32) {
      const std::int64_t before = of.step_of[row] / 2;
      if (before >= step) continue;
      catch_up(table, of, row, static_cast<float>(decay_product(decays, before, step)), lane, 32);
      __syncwarp();  // every lane has read the step
      if (lane == 0) of.step_of[row] = static_cast<std::int32_t>(2 * step);
    }
  }
};

}  // namespace swallowtail::cuda
