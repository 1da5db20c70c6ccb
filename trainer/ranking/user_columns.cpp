#include "trainer/ranking/user_columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace swallowtail {
namespace {

constexpr std::size_t kMostCategories = 20;  // as many numbers are still names of groups: 1 to 5 stars, months

std::optional<float> parsed(const std::string& text) {
  float number = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc{} || stop != text.data() + text.size() || !std::isfinite(number)) return {};
  return number;
}

/// Values that end a group, rising: a value belongs to the first edge that is not below it, else to the last group.
std::vector<float> quantile_edges(const std::vector<float>& numbers, const Histories& train, std::int64_t quantiles) {
  std::vector<float> known;
  for (std::int64_t user = 0; user < train.users(); ++user)
    if (train.count(user) > 0 && !std::isnan(numbers[user])) known.push_back(numbers[user]);
  std::ranges::sort(known);
  std::vector<float> edges;
  const auto all = static_cast<std::int64_t>(known.size());
  for (std::int64_t q = 1; q < quantiles && all > 0; ++q) {
    const float edge =
        known[static_cast<std::size_t>(std::max<std::int64_t>(0, (all * q + quantiles - 1) / quantiles - 1))];
    if (edge < known.back() && (edges.empty() || edge > edges.back())) edges.push_back(edge);
  }
  return edges;
}

ColumnGroups groups_of_numbers(const SideColumn& column, const std::vector<float>& numbers, const Histories& train,
                               std::int64_t quantiles) {
  const auto edges = quantile_edges(numbers, train, quantiles);
  ColumnGroups made{column.name, {}, {0}, {}};
  for (std::size_t group = 0; group <= edges.size(); ++group) {
    const bool is_first = group == 0, is_last = group == edges.size();
    made.names.push_back(is_first && is_last ? "any"
                         : is_first          ? fmt::format("up to {:g}", edges[group])
                         : is_last           ? fmt::format("above {:g}", edges[group - 1])
                                             : fmt::format("above {:g}, up to {:g}", edges[group - 1], edges[group]));
  }
  made.names.emplace_back("missing");
  for (const float number : numbers) {
    made.groups.push_back(std::isnan(number) ? static_cast<std::int64_t>(edges.size()) + 1
                                             : std::ranges::lower_bound(edges, number) - edges.begin());
    made.offsets.push_back(static_cast<std::int64_t>(made.groups.size()));
  }
  return made;
}

ColumnGroups groups_of_categories(const SideColumn& column) {
  ColumnGroups made{column.name, column.categories, {0}, {}};
  const auto missing = static_cast<std::int64_t>(made.names.size());
  made.names.emplace_back("missing");
  for (std::size_t row = 0; row + 1 < column.offsets.size(); ++row) {
    const auto first = column.codes.begin() + column.offsets[row],
               last = column.codes.begin() + column.offsets[row + 1];
    made.groups.insert(made.groups.end(), first, last);
    if (first == last) made.groups.push_back(missing);
    made.offsets.push_back(static_cast<std::int64_t>(made.groups.size()));
  }
  return made;
}

bool tells_users_apart(const ColumnGroups& groups, const Histories& train) {
  std::int64_t first = -1;
  for (std::int64_t user = 0; user < train.users(); ++user) {
    if (train.count(user) == 0) continue;
    if (first < 0) first = user;
    if (!std::ranges::equal(groups.of(user), groups.of(first))) return true;
  }
  return false;
}

}  // namespace

std::optional<std::vector<float>> numbers_of(const SideColumn& column) {
  if (column.kind == SideColumn::Kind::number) return column.numbers;
  if (column.kind != SideColumn::Kind::category || column.categories.size() <= kMostCategories) return {};
  std::vector<float> values;
  for (const std::string& category : column.categories) {
    const auto number = parsed(category);
    if (!number) return {};
    values.push_back(*number);
  }
  std::vector<float> numbers;
  for (std::size_t row = 0; row + 1 < column.offsets.size(); ++row)
    numbers.push_back(column.offsets[row] < column.offsets[row + 1] ? values[column.codes[column.offsets[row]]]
                                                                    : std::numeric_limits<float>::quiet_NaN());
  return numbers;
}

std::vector<ColumnGroups> column_groups_of(const SideTable& table, const Histories& train, std::int64_t quantiles) {
  std::vector<ColumnGroups> all;
  for (const SideColumn& column : table.columns) {
    if (column.kind == SideColumn::Kind::text) continue;
    const auto numbers = numbers_of(column);
    ColumnGroups groups =
        numbers ? groups_of_numbers(column, *numbers, train, quantiles) : groups_of_categories(column);
    if (tells_users_apart(groups, train)) all.push_back(std::move(groups));
  }
  return all;
}

}  // namespace swallowtail
