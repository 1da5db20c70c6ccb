#include "trainer/ranking/co_occurrence.h"

#include <algorithm>
#include <numeric>

namespace swallowtail {

std::vector<std::int64_t> distinct_items(std::span<const std::int64_t> history) {
  std::vector<std::int64_t> items(history.begin(), history.end());
  std::ranges::sort(items);
  items.erase(std::unique(items.begin(), items.end()), items.end());
  return items;
}

CoOccurrence::CoOccurrence(const Histories& histories, std::int64_t items)
    : user_offsets_{0},
      item_offsets_(static_cast<std::size_t>(items) + 1, 0),
      users_(static_cast<std::size_t>(items), 0) {
  for (std::int64_t user = 0; user < histories.users(); ++user) {
    const auto distinct = distinct_items(histories.of(user));
    user_items_.insert(user_items_.end(), distinct.begin(), distinct.end());
    user_offsets_.push_back(static_cast<std::int64_t>(user_items_.size()));
  }
  for (const std::int64_t item : user_items_) ++users_[item];
  std::partial_sum(users_.begin(), users_.end(), item_offsets_.begin() + 1);
  item_users_.resize(user_items_.size());
  auto place = item_offsets_;
  for (std::int64_t user = 0; user < histories.users(); ++user)
    for (std::int64_t i = user_offsets_[user]; i < user_offsets_[user + 1]; ++i)
      item_users_[place[user_items_[i]]++] = user;
}

void CoOccurrence::for_each_row(
    std::int64_t first, std::int64_t last,
    const std::function<void(std::int64_t, std::span<const std::int64_t>, std::span<const std::int64_t>)>& use) const {
  std::vector<std::int64_t> counts(users_.size(), 0), others;
  for (std::int64_t item = first; item < last; ++item) {
    others.clear();
    for (std::int64_t u = item_offsets_[item]; u < item_offsets_[item + 1]; ++u)
      for (std::int64_t i = user_offsets_[item_users_[u]]; i < user_offsets_[item_users_[u] + 1]; ++i) {
        const std::int64_t other = user_items_[i];
        if (other != item && counts[other]++ == 0) others.push_back(other);
      }
    std::ranges::sort(others);
    use(item, others, counts);
    for (const std::int64_t other : others) counts[other] = 0;
  }
}

}  // namespace swallowtail
