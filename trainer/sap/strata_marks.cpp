// What sets a stratum apart. A mark's weight is the divergence, in nats, of the stratum from all clustered users: of
// two Bernoulli variables for a share, of two normal ones of equal variance for a mean.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "trainer/ranking/user_columns.h"
#include "trainer/sap/strata.h"

namespace swallowtail {
namespace {

constexpr double kLeastWeight = 0.005;

struct Weighed {
  double weight;
  StratumMark mark;
};
using Marks = std::vector<std::vector<Weighed>>;  // [strata]

double divergence(double here, double everywhere) {
  const auto part = [](double p, double q) { return p > 0 && q > 0 ? p * std::log(p / q) : 0; };
  return part(here, everywhere) + part(1 - here, 1 - everywhere);
}

/// counts [strata][slots] of `totals` [strata].
void add_shares(Marks& marks, const std::string& column, const std::vector<std::string>& names,
                const std::vector<std::vector<double>>& counts, const std::vector<double>& totals) {
  double all = 0;
  for (const double total : totals) all += total;
  for (std::size_t slot = 0; slot < names.size() && all > 0; ++slot) {
    double everywhere = 0;
    for (const auto& of_stratum : counts) everywhere += of_stratum[slot] / all;
    for (std::size_t stratum = 0; stratum < marks.size(); ++stratum) {
      if (totals[stratum] == 0) continue;
      const double here = counts[stratum][slot] / totals[stratum];
      if (here <= everywhere) continue;  // what a stratum lacks is what another has
      marks[stratum].push_back(
          {divergence(here, everywhere), {fmt::format("{} {}", column, names[slot]), here, everywhere, true}});
    }
  }
}

void add_means(Marks& marks, const Strata& strata, const std::string& column, const std::vector<float>& numbers) {
  std::vector<double> sums(marks.size(), 0.0), known(marks.size(), 0.0);
  double sum = 0, squares = 0, all = 0;
  for (const std::int64_t user : strata.clustered) {
    if (std::isnan(numbers[user])) continue;
    sums[strata.of_user[user]] += numbers[user];
    ++known[strata.of_user[user]];
    sum += numbers[user];
    squares += static_cast<double>(numbers[user]) * numbers[user];
    ++all;
  }
  const double mean = sum / std::max(1.0, all), variance = squares / std::max(1.0, all) - mean * mean;
  if (!(variance > 0)) return;
  for (std::size_t stratum = 0; stratum < marks.size(); ++stratum) {
    if (known[stratum] == 0) continue;
    const double here = sums[stratum] / known[stratum];
    marks[stratum].push_back({(here - mean) * (here - mean) / variance / 2, {column, here, mean, false}});
  }
}

}  // namespace

std::vector<std::vector<StratumMark>> stratum_marks(const Strata& strata, const Interactions& data,
                                                    const SideColumn* item_column, std::size_t most) {
  const auto strata_count = static_cast<std::size_t>(strata.count());
  if (strata_count == 0) return {};  // sap.strata.enabled=false: users have no stratum, but are not cold either
  Marks marks(strata_count);
  std::vector<double> users(strata_count, 0.0);
  for (const std::int64_t user : strata.clustered) ++users[strata.of_user[user]];
  for (const ColumnGroups& column : column_groups_of(data.user_table, data.train, 4)) {
    if (const auto numbers = numbers_of(*data.user_table.find(column.column))) {
      add_means(marks, strata, column.column, *numbers);
      continue;
    }
    std::vector<std::vector<double>> counts(strata_count, std::vector<double>(column.names.size(), 0.0));
    for (const std::int64_t user : strata.clustered)
      for (const std::int64_t group : column.of(user)) ++counts[strata.of_user[user]][group];
    add_shares(marks, column.column, column.names, counts, users);
  }
  std::vector<float> touched(strata.of_user.size());
  for (std::size_t user = 0; user < touched.size(); ++user)
    touched[user] = static_cast<float>(data.train.count(static_cast<std::int64_t>(user)));
  add_means(marks, strata, "interactions of a user", touched);
  if (item_column != nullptr) {
    std::vector<std::vector<double>> counts(strata_count, std::vector<double>(item_column->categories.size(), 0.0));
    std::vector<double> totals(strata_count, 0.0);
    for (const std::int64_t user : strata.clustered)
      for (const std::int64_t item : data.train.of(user)) {
        ++totals[strata.of_user[user]];
        for (std::int64_t c = item_column->offsets[item]; c < item_column->offsets[item + 1]; ++c)
          ++counts[strata.of_user[user]][item_column->codes[c]];
      }
    add_shares(marks, "items of " + item_column->name, item_column->categories, counts, totals);
  }
  std::vector<std::vector<StratumMark>> all;
  for (auto& of_stratum : marks) {
    std::ranges::stable_sort(of_stratum, std::greater<>(), &Weighed::weight);
    auto& kept = all.emplace_back();
    for (Weighed& weighed : of_stratum)
      if (kept.size() < most && weighed.weight >= kLeastWeight) kept.push_back(std::move(weighed.mark));
  }
  return all;
}

}  // namespace swallowtail
