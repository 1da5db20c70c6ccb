#include "trainer/sap/demographics.h"

#include <algorithm>
#include <cmath>

#include "trainer/ranking/user_columns.h"

namespace swallowtail {
namespace {

constexpr double kRareShare = 0.01;

std::span<const std::int64_t> codes_of(const SideColumn& column, std::int64_t user) {
  return std::span(column.codes)
      .subspan(static_cast<std::size_t>(column.offsets[user]),
               static_cast<std::size_t>(column.offsets[user + 1] - column.offsets[user]));
}

}  // namespace

Demographics::Demographics(const SideTable& table, std::span<const std::int64_t> users) {
  if (users.empty()) return;
  for (const SideColumn& column : table.columns) {
    if (column.kind == SideColumn::Kind::text) continue;
    if (auto numbers = numbers_of(column))
      add_numbers(std::move(*numbers), users);
    else
      add_categories(column, users);
  }
  std::int64_t width = 0;
  for (const Column& column : columns_) width = std::max(width, column.first + column.slots);
  means_.assign(static_cast<std::size_t>(width), 0.0);
  std::vector<double> raw(means_.size());
  for (const std::int64_t user : users) {
    encode_raw(user, raw);
    for (std::size_t i = 0; i < raw.size(); ++i) means_[i] += raw[i];
  }
  for (double& mean : means_) mean /= static_cast<double>(users.size());
}

void Demographics::add_numbers(std::vector<float> numbers, std::span<const std::int64_t> users) {
  double sum = 0, squares = 0;
  std::int64_t known = 0;
  for (const std::int64_t user : users)
    if (!std::isnan(numbers[user])) {
      sum += numbers[user];
      ++known;
    }
  const double mean = known > 0 ? sum / static_cast<double>(known) : 0;
  for (const std::int64_t user : users)
    if (!std::isnan(numbers[user])) squares += (numbers[user] - mean) * (numbers[user] - mean);
  const auto missing = static_cast<std::int64_t>(users.size()) - known;
  if (squares == 0 && (missing == 0 || known == 0)) return;  // says the same of everyone
  Column column;
  column.first = columns_.empty() ? 0 : columns_.back().first + columns_.back().slots;
  column.numbers = std::move(numbers);
  column.mean = mean;
  column.deviation = squares > 0 ? std::sqrt(squares / static_cast<double>(known)) : 1;
  column.missing = missing > 0 ? 1 : -1;
  column.slots = missing > 0 ? 2 : 1;
  columns_.push_back(std::move(column));
}

void Demographics::add_categories(const SideColumn& from, std::span<const std::int64_t> users) {
  std::vector<std::int64_t> counts(from.categories.size(), 0);
  std::int64_t missing = 0;
  for (const std::int64_t user : users) {
    const auto codes = codes_of(from, user);
    for (const std::int64_t code : codes) ++counts[code];
    missing += codes.empty() ? 1 : 0;
  }
  Column column;
  column.first = columns_.empty() ? 0 : columns_.back().first + columns_.back().slots;
  column.codes = &from;
  column.slot.assign(counts.size(), -1);
  const double rare = kRareShare * static_cast<double>(users.size());
  std::int64_t rare_slot = -1;
  for (std::size_t code = 0; code < counts.size(); ++code) {
    if (counts[code] == 0) continue;
    if (static_cast<double>(counts[code]) >= rare) {
      column.slot[code] = column.slots++;
    } else {
      if (rare_slot < 0) rare_slot = column.slots++;
      column.slot[code] = rare_slot;
    }
  }
  if (missing > 0) column.missing = column.slots++;
  // Constant: every user has all that anybody has.
  if (column.slots == 0 || (missing == 0 && std::ranges::all_of(counts, [&](std::int64_t count) {
                              return count == 0 || count == static_cast<std::int64_t>(users.size());
                            })))
    return;
  if (column.slots == 1) return;
  columns_.push_back(std::move(column));
}

void Demographics::encode_raw(std::int64_t user, std::span<double> block) const {
  std::ranges::fill(block, 0.0);
  for (const Column& column : columns_) {
    double* const own = block.data() + column.first;
    if (column.codes == nullptr) {
      const float number = column.numbers[user];
      if (!std::isnan(number))
        own[0] = (number - column.mean) / column.deviation;
      else if (column.missing >= 0)
        own[column.missing] = 1;
      continue;
    }
    const double one = 1 / std::sqrt(static_cast<double>(column.slots));
    const auto codes = codes_of(*column.codes, user);
    for (const std::int64_t code : codes)
      if (column.slot[code] >= 0) own[column.slot[code]] = one;
    if (codes.empty() && column.missing >= 0) own[column.missing] = one;
  }
}

void Demographics::encode(std::int64_t user, std::span<double> block) const {
  encode_raw(user, block);
  for (std::size_t i = 0; i < means_.size(); ++i) block[i] -= means_[i];
}

bool Demographics::knows(std::int64_t user) const {
  if (user == kColdId) return false;
  return std::ranges::any_of(columns_, [&](const Column& column) {
    return column.codes == nullptr ? !std::isnan(column.numbers[user]) : !codes_of(*column.codes, user).empty();
  });
}

}  // namespace swallowtail
