// Small interactions for tests of ranking models.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "trainer/data/interactions.h"

namespace swallowtail::test {

/// Training histories by user, oldest first; users and items are numbers.
inline Interactions interactions(const std::vector<std::vector<std::int64_t>>& histories, std::int64_t items) {
  Interactions data;
  std::vector<std::string> users, names;
  for (std::size_t user = 0; user < histories.size(); ++user) users.push_back(std::to_string(user));
  for (std::int64_t item = 0; item < items; ++item) names.push_back(std::to_string(item));
  data.users = IdList(users);
  data.items = IdList(names);
  for (const auto& history : histories) {
    data.train.items.insert(data.train.items.end(), history.begin(), history.end());
    data.train.offsets.push_back(data.train.size());
  }
  data.train.ratings.assign(data.train.items.size(), 1);
  data.train.times.assign(data.train.items.size(), 0);
  return data;
}

inline SideColumn category_column(std::string name, std::vector<std::string> categories,
                                  const std::vector<std::int64_t>& codes) {
  SideColumn column;
  column.name = std::move(name);
  column.categories = std::move(categories);
  column.offsets.push_back(0);
  for (const std::int64_t code : codes) {  // below 0: missing
    if (code >= 0) column.codes.push_back(code);
    column.offsets.push_back(static_cast<std::int64_t>(column.codes.size()));
  }
  return column;
}

inline SideColumn number_column(std::string name, std::vector<float> numbers) {
  SideColumn column;
  column.name = std::move(name);
  column.kind = SideColumn::Kind::number;
  column.numbers = std::move(numbers);
  return column;
}

}  // namespace swallowtail::test
