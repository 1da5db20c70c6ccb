#include "trainer/data/interactions.h"

#include <algorithm>
#include <tuple>

namespace swallowtail {
namespace {

/// A whole number as people write one: no sign, no leading zero. Only then do equal values mean equal ids.
bool is_plain_number(std::string_view text) {
  return !text.empty() && (text.size() == 1 || text[0] != '0') &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool numeric_before(std::string_view a, std::string_view b) {
  return std::tuple(a.size(), a) < std::tuple(b.size(), b);
}

}  // namespace

IdList::IdList(std::vector<std::string> names) : names_(std::move(names)) {
  is_numeric_ = std::ranges::all_of(names_, is_plain_number);
  if (is_numeric_)
    std::ranges::sort(names_, numeric_before);
  else
    std::ranges::sort(names_);
}

std::int64_t IdList::find(std::string_view name) const {
  const auto place = is_numeric_ ? std::lower_bound(names_.begin(), names_.end(), name, numeric_before)
                                 : std::lower_bound(names_.begin(), names_.end(), name);
  return place != names_.end() && *place == name ? place - names_.begin() : kColdId;
}

const SideColumn* SideTable::find(std::string_view name) const {
  const auto found = std::ranges::find(columns, name, &SideColumn::name);
  return found == columns.end() ? nullptr : &*found;
}

std::vector<std::int64_t> item_counts(const Histories& histories, std::int64_t items) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(items), 0);
  for (const std::int64_t item : histories.items) ++counts[item];
  return counts;
}

}  // namespace swallowtail
