// Small interactions for the tests of SAP's stages.
#pragma once

#include <fmt/format.h>

#include <string>
#include <vector>

#include "kernels/random.h"
#include "tests/unit/ranking/interactions_fixture.h"

namespace swallowtail::test {

inline double uniform(std::uint64_t seed, std::uint64_t a, std::uint64_t b) {
  return random::uniform(random::bits(seed, random::purpose("test"), a, b));
}

/// Users of two types, u % 2, who like items of their own parity, popular ones more; `kind` shows the type but for one
/// user in twenty, `age` nothing. Of each type the last `cold` users have no interactions.
struct Planted {
  std::int64_t users = 400, items = 100, cold = 20;
  double against = 0.1;  // share of interactions with the other type's items
  std::uint64_t seed = 1;
};
inline Interactions planted(const Planted& plan) {
  std::vector<std::vector<std::int64_t>> histories;
  std::vector<std::int64_t> kinds;
  std::vector<float> ages;
  for (std::int64_t user = 0; user < plan.users; ++user) {
    const auto key = static_cast<std::uint64_t>(user);
    auto& history = histories.emplace_back();
    const auto wanted = static_cast<std::int64_t>(6 + 30 * uniform(plan.seed, key, 0));
    for (std::int64_t i = 0; i < wanted && user < plan.users - 2 * plan.cold; ++i) {
      const auto place = static_cast<std::uint64_t>(10 + 3 * i);
      const double popular = uniform(plan.seed, key, place);
      const auto half = plan.items / 2;
      const auto pick = std::min(half - 1, static_cast<std::int64_t>(popular * popular * static_cast<double>(half)));
      const bool is_other = uniform(plan.seed, key, place + 1) < plan.against;
      const std::int64_t item = 2 * pick + (is_other ? 1 - user % 2 : user % 2);
      if (std::ranges::find(history, item) == history.end()) history.push_back(item);
    }
    kinds.push_back(uniform(plan.seed, key, 1) < 0.05 ? 1 - user % 2 : user % 2);
    ages.push_back(static_cast<float>(20 + 40 * uniform(plan.seed, key, 2)));
  }
  Interactions data = interactions(histories, plan.items);
  data.user_table.columns.push_back(category_column("kind", {"even", "odd"}, kinds));
  data.user_table.columns.push_back(number_column("age", ages));
  return data;
}

/// Adjusted Rand index of two labelings. Source: Hubert and Arabie 1985.
inline double adjusted_rand(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b) {
  const auto most = [](const std::vector<std::int64_t>& labels) { return *std::ranges::max_element(labels) + 1; };
  std::vector<std::vector<double>> table(static_cast<std::size_t>(most(a)),
                                         std::vector<double>(static_cast<std::size_t>(most(b)), 0.0));
  for (std::size_t i = 0; i < a.size(); ++i) ++table[a[i]][b[i]];
  const auto pairs = [](double n) { return n * (n - 1) / 2; };
  double together = 0, rows = 0, columns = 0;
  for (const auto& row : table) {
    double sum = 0;
    for (const double cell : row) {
      together += pairs(cell);
      sum += cell;
    }
    rows += pairs(sum);
  }
  for (std::size_t c = 0; c < table.front().size(); ++c) {
    double sum = 0;
    for (const auto& row : table) sum += row[c];
    columns += pairs(sum);
  }
  const double expected = rows * columns / pairs(static_cast<double>(a.size()));
  const double most_possible = (rows + columns) / 2;
  return most_possible == expected ? 1 : (together - expected) / (most_possible - expected);
}

}  // namespace swallowtail::test
