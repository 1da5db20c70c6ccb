// The area under the ROC curve on the device, exact: the meaning and, for fp32 scores, the bits of kernels/auc.h.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

/// What the area is made of, counted in integers.
struct AucCounts {
  unsigned long long won_twice = 0;                              // 2 * pairs that a positive wins + ties
  unsigned long long positives = 0, negatives = 0, refused = 0;  // refused: scores below 0
};
/// As kernels/auc.h; on the host, of counts that were copied there.
std::optional<double> area_of(const AucCounts& counts) noexcept;

struct AucScratch {
  DeviceBuffer<std::uint32_t> keys, sorted_keys;
  DeviceBuffer<std::int64_t> negatives;
  DeviceBuffer<std::byte> library;
};

/// *counts from scores [N] >= 0 and no NaN, and labels [N], positive above 0.5; all device memory. N < 2^31.
/// Cost  about 84 bytes a score, 32 of them the sort's four passes over 4-byte keys; and a search of log2(N) cached
///       reads for each positive.
void count_auc(const float* scores, const float* labels, std::int64_t size, AucCounts* counts, AucScratch& scratch,
               Stream& stream);

}  // namespace swallowtail::cuda
