#include "trainer/ranking/alias_table.h"

#include <cmath>

#include "kernels/random.h"
#include "parallel/error.h"

namespace swallowtail {

AliasTable::AliasTable(std::span<const double> weights) {
  double sum = 0;
  for (const double weight : weights) {
    if (!(weight >= 0) || std::isinf(weight)) sum = std::nan("");
    sum += weight;
  }
  if (!(sum > 0) || std::isinf(sum))
    throw Error{ExitCode::data, "nothing can be drawn: the weights are not finite, below 0, or all 0", "alias table"};
  const std::size_t n = weights.size();
  keep_.resize(n);
  probability_.resize(n);
  alias_.resize(n);
  std::vector<std::size_t> small, large;
  for (std::size_t i = 0; i < n; ++i) {
    probability_[i] = weights[i] / sum;
    keep_[i] = probability_[i] * static_cast<double>(n);
    alias_[i] = static_cast<std::int64_t>(i);
    (keep_[i] < 1 ? small : large).push_back(i);
  }
  while (!small.empty() && !large.empty()) {
    const std::size_t poor = small.back(), rich = large.back();
    small.pop_back();
    alias_[poor] = static_cast<std::int64_t>(rich);
    keep_[rich] = (keep_[rich] + keep_[poor]) - 1;
    if (keep_[rich] >= 1) continue;
    large.pop_back();
    small.push_back(rich);
  }
  // What rounding has left over is a full bucket, unless its entry must never come.
  for (const std::size_t i : large) keep_[i] = 1;
  std::size_t likely = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (probability_[i] > probability_[likely]) likely = i;
  for (const std::size_t i : small) {
    keep_[i] = weights[i] > 0 ? 1 : 0;
    if (weights[i] == 0) alias_[i] = static_cast<std::int64_t>(likely);
  }
}

std::int64_t AliasTable::draw(std::uint64_t bits) const noexcept {
  const auto product = static_cast<random::Uint128>(bits) * keep_.size();
  const auto bucket = static_cast<std::size_t>(product >> 64);
  const double coin = random::uniform(static_cast<std::uint64_t>(product));
  return coin < keep_[bucket] ? static_cast<std::int64_t>(bucket) : alias_[bucket];
}

}  // namespace swallowtail
