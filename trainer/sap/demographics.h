// What is known of a user beside interactions, as numbers: columns of data.users that are numbers are standardised,
// those with categories are one-hot, divided by the square root of their number of categories, so that no column
// outweighs another by its categories. Something missing is a category of its own; categories of fewer than 1 % of the
// users share one. Immutable once made; it borrows the table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trainer/data/interactions.h"

namespace swallowtail {

class Demographics {
 public:
  Demographics() = default;
  /// Means, deviations and categories are those of `users`; columns that are constant among them are left out.
  Demographics(const SideTable& table, std::span<const std::int64_t> users);

  std::int64_t width() const noexcept { return static_cast<std::int64_t>(means_.size()); }
  /// The block of one user, [width()]: its columns have mean 0 among the users it is made of.
  void encode(std::int64_t user, std::span<double> block) const;
  /// Whether the table says anything of the user in a column that counts; kColdId: no.
  bool knows(std::int64_t user) const;

 private:
  struct Column {
    std::int64_t first = 0;      // of its numbers in the block
    std::vector<float> numbers;  // [users], NaN where missing; of a column of numbers
    double mean = 0, deviation = 1;
    const SideColumn* codes = nullptr;  // of a column of categories
    std::vector<std::int64_t> slot;     // place of each category within the column; -1: none of the users has it
    std::int64_t missing = -1, slots = 0;
  };
  void add_numbers(std::vector<float> numbers, std::span<const std::int64_t> users);
  void add_categories(const SideColumn& column, std::span<const std::int64_t> users);
  void encode_raw(std::int64_t user, std::span<double> block) const;

  std::vector<Column> columns_;
  std::vector<double> means_;  // [width] of the raw block
};

}  // namespace swallowtail
