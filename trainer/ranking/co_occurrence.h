// How many users have touched two items: the sparse matrix X^T X of the users' distinct items, row by row.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "trainer/data/interactions.h"

namespace swallowtail {

class CoOccurrence {
 public:
  CoOccurrence(const Histories& histories, std::int64_t items);

  /// Users of each item, [items].
  std::span<const std::int64_t> users() const noexcept { return users_; }
  /// Calls use(item, others, counts) for the items [first, last): counts[j] users of `item` have touched j, for the j
  /// of `others` (rising; without `item`); other counts are 0. Cost: the sum over the item's users of their histories.
  void for_each_row(std::int64_t first, std::int64_t last,
                    const std::function<void(std::int64_t item, std::span<const std::int64_t> others,
                                             std::span<const std::int64_t> counts)>& use) const;

 private:
  std::vector<std::int64_t> user_offsets_, user_items_;  // distinct items of each user, rising
  std::vector<std::int64_t> item_offsets_, item_users_;  // users of each item, rising
  std::vector<std::int64_t> users_;
};

/// The distinct items of a history, rising.
std::vector<std::int64_t> distinct_items(std::span<const std::int64_t> history);

}  // namespace swallowtail
