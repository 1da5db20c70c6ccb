// Columns of data.users as groups of users: a category is a group, numbers are cut at quantiles, something missing is a
// group of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trainer/data/interactions.h"

namespace swallowtail {

/// Values of a column that is a number, NaN where missing; also of one whose many categories are all numbers, such as
/// ages that a file calls tokens. Nothing: it is none.
std::optional<std::vector<float>> numbers_of(const SideColumn& column);

struct ColumnGroups {
  std::string column;
  std::vector<std::string> names;     // of the groups: "M", "31 to 40", "missing"
  std::vector<std::int64_t> offsets;  // [users + 1] into groups; several where the column has several values
  std::vector<std::int64_t> groups;   // numbers of names
  std::span<const std::int64_t> of(std::int64_t user) const {
    return std::span(groups).subspan(static_cast<std::size_t>(offsets[user]),
                                     static_cast<std::size_t>(offsets[user + 1] - offsets[user]));
  }
};

/// One for each column but free text and those that say the same of every user. Numbers have `quantiles` groups of
/// about as many users with training interactions each, fewer where values repeat.
std::vector<ColumnGroups> column_groups_of(const SideTable& table, const Histories& train, std::int64_t quantiles);

}  // namespace swallowtail
