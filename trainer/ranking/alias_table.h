// Draws from a discrete distribution in constant time. Source: Vose, IEEE Trans. Software Eng. 17 (1991).
// Immutable once built, so any number of threads may draw.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace swallowtail {

class AliasTable {
 public:
  /// `weights`: finite, at least 0, one of them above 0. O(n). Errors: data where they are not.
  explicit AliasTable(std::span<const double> weights);
  std::int64_t size() const noexcept { return static_cast<std::int64_t>(keep_.size()); }
  /// One entry from 64 uniform bits: their upper part chooses the bucket, what is left of them the side of its coin.
  /// An entry of weight 0 is never drawn.
  std::int64_t draw(std::uint64_t bits) const noexcept;
  /// Weight of the entry over the sum of weights.
  double probability(std::int64_t entry) const { return probability_[static_cast<std::size_t>(entry)]; }

 private:
  std::vector<double> keep_, probability_;  // keep_: chance that a bucket's own entry is taken
  std::vector<std::int64_t> alias_;
};

}  // namespace swallowtail
