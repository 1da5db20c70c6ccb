// Steps of pairwise and sampled losses on the device: the meaning of kernels/bpr.h and kernels/sampled_softmax.h, the
// same bits in every table (long segments apart, see embedding.h); the loss is summed in another fixed order. Batches
// with many negatives a sample are the same call. All pointers are device memory; calls return at once.
#pragma once

#include <cstdint>

#include "kernels/cuda/embedding.h"
#include "kernels/factors.h"

namespace swallowtail::cuda {

struct DeviceTriplets {
  std::int64_t size = 0, negatives_each = 0;  // B, K >= 1
  const std::int64_t* users = nullptr;        // [B]
  const std::int64_t* positives = nullptr;    // [B]
  const std::int64_t* negatives = nullptr;    // [B, K]
  const float* weights = nullptr;             // [B], or null: every sample weighs 1
};
struct DeviceLogQ {  // both null: no correction
  const float* positives = nullptr;
  const float* negatives = nullptr;
};

struct FactorResult {
  double loss = 0;
  unsigned long long bad_user = 0, bad_item = 0, bad_bias = 0;  // kNoBadRow: none
};

/// The steps of one pair of tables; keeps what they need between calls.
class FactorSteps {
 public:
  /// `tables` with device pointers, which outlive this. Errors: Failure where dim is not in [1, kMaxDim].
  FactorSteps(const FactorTables& tables, Stream& stream);

  /// *result is device memory.
  /// Cost  a sample reads 2 + K rows twice, the second time out of cache, and writes one row of gradient; then two
  ///       grouped updates, whose sorts move 24 bytes an id a pass of 8 bits. B = 1M, K = 1, D = 64, 1M items: about
  ///       2.5 GB, of which the rows' updates are 1.5.
  void bpr(const OptimizerStep& step, const DeviceTriplets& batch, FactorResult* result, Stream& stream);
  void sampled_softmax(const OptimizerStep& step, const DeviceTriplets& batch, const DeviceLogQ& log_q,
                       FactorResult* result, Stream& stream);

  std::int64_t long_segment = RowUpdate{}.long_segment;

 private:
  void run(bool is_bpr, const OptimizerStep& step, const DeviceTriplets& batch, const DeviceLogQ& log_q,
           FactorResult* result, Stream& stream);

  FactorTables tables_;
  DeviceTables users_, items_, bias_;
  DeviceBuffer<std::int64_t> item_ids_, item_offsets_, user_offsets_, zeros_;
  DeviceBuffer<float> coefficients_, user_gradients_, losses_, ones_;
  DeviceBuffer<double> partial_losses_;
  BackwardScratch scratch_;
};

}  // namespace swallowtail::cuda
