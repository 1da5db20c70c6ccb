// Steps of pairwise and sampled losses on the device: the meaning of kernels/bpr.h and kernels/sampled_softmax.h, the
// same bits in every table (long segments apart, see embedding.h); the loss is summed in another fixed order. Batches
// with many negatives a sample are the same call. All pointers are device memory; calls return at once.
#pragma once

#include <cstdint>

#include "kernels/bpr.h"
#include "kernels/cuda/embedding.h"

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

/// How a step updates its rows; bpr_step() and sampled_softmax_step() are `step` alone.
struct FactorUpdate {
  OptimizerStep step;  // of all tables, unless
  /// [3], device: of users, items and bias, read when the kernels run, so that a recorded graph serves every step.
  const Rates* rates = nullptr;
  /// weight_decay counts once for each row of the batch, as in update_rows() without bag_decay; else once for each of
  /// its places, times the sample's weight.
  bool decays_rows_once = false;
  BprNegatives negatives = BprNegatives::all;  // of bpr()
};

struct FactorResult {
  double loss = 0;
  unsigned long long bad_user = 0, bad_item = 0, bad_bias = 0;  // kNoBadRow: none
};

enum class FactorLoss : std::uint8_t { bpr, hardest_bpr, sampled_softmax };

/// The steps of one pair of tables; keeps what they need between calls.
class FactorSteps {
 public:
  /// `tables` with device pointers, which outlive this. Errors: Failure where dim is not in [1, kMaxDim].
  FactorSteps(const FactorTables& tables, Stream& stream);

  /// *result is device memory. bpr() with BprNegatives::hardest is bpr_gradients() and the rows' updates.
  /// Cost  a sample reads 2 + K rows twice, the second time out of cache, and writes one row of gradient; then two
  ///       grouped updates, whose sorts move 24 bytes an id a pass of 8 bits. B = 1M, K = 1, D = 64, 1M items: about
  ///       2.5 GB, of which the rows' updates are 1.5.
  void bpr(const FactorUpdate& update, const DeviceTriplets& batch, FactorResult* result, Stream& stream);
  void sampled_softmax(const FactorUpdate& update, const DeviceTriplets& batch, const DeviceLogQ& log_q,
                       FactorResult* result, Stream& stream);
  /// [B] of the last step, each times its weight.
  const float* losses() const noexcept { return losses_.data(); }

  std::int64_t long_segment = RowUpdate{}.long_segment;

 private:
  void run(FactorLoss loss, const FactorUpdate& update, const DeviceTriplets& batch, const DeviceLogQ& log_q,
           FactorResult* result, Stream& stream);

  FactorTables tables_;
  DeviceTables users_, items_, bias_;
  DeviceBuffer<std::int64_t> item_ids_, item_offsets_, user_offsets_, zeros_;
  DeviceBuffer<float> coefficients_, user_gradients_, losses_, ones_;
  DeviceBuffer<double> partial_losses_;
  BackwardScratch scratch_;
};

}  // namespace swallowtail::cuda
