// The local search: the busiest rank gives something away, until that helps no more.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/random.h"
#include "parallel/sharding/plan_search.h"

namespace swallowtail {

namespace {

// A move must gain this share of the busiest rank's time: smaller ones only cost the planner time.
constexpr double kLeastGain = 1e-4;
constexpr std::size_t kIdleRanks = 24;  // of which a move's other end is taken
constexpr int kMostCuts = 300;          // tried in one search
constexpr int kFillSteps = 24;          // of the search for the level
constexpr std::size_t kFillers = 8;     // tables that are tried
constexpr std::size_t kKickedTables = 4;
constexpr double kCrowdingPower = 24;  // high enough that only ranks near the busiest count

}  // namespace

std::vector<int> PlanSearch::least_busy(std::size_t count) const {
  std::vector<std::pair<double, int>> levels;
  for (int rank = 0; rank < std::ssize(ranks_); ++rank) levels.emplace_back(level(rank), rank);
  count = std::min(count, levels.size());
  std::ranges::partial_sort(levels, levels.begin() + static_cast<std::ptrdiff_t>(count));
  std::vector<int> ranks;
  for (std::size_t i = 0; i < count; ++i) ranks.push_back(levels[i].second);
  return ranks;
}

/// Falls when a rank near the busiest is relieved, though another is as busy.
double PlanSearch::crowding(double reference) const {
  double sum = 0;
  for (int rank = 0; rank < std::ssize(ranks_); ++rank) sum += std::pow(level(rank) / reference, kCrowdingPower);
  return sum;
}

bool PlanSearch::move_or_swap(int busiest) {
  const Rank& from = ranks_[static_cast<std::size_t>(busiest)];
  const double before = level(busiest);
  double best = before * (1 - kLeastGain);
  std::size_t best_part = parts_.size(), best_other = parts_.size();
  int best_rank = -1;
  for (const int idle : least_busy(kIdleRanks)) {
    if (idle == busiest) continue;
    const Rank& to = ranks_[static_cast<std::size_t>(idle)];
    for (const std::size_t give : from.parts) {
      const Part& part = parts_[give];
      if (part.is_fixed || holds(idle, part.table)) continue;
      const auto consider = [&](std::size_t back, double seconds, double bytes) {
        const double worse = std::max(level(from.seconds - part.seconds + seconds, from.bytes - part.bytes + bytes),
                                      level(to.seconds + part.seconds - seconds, to.bytes + part.bytes - bytes));
        if (worse >= best) return;
        best = worse;
        best_part = give;
        best_other = back;
        best_rank = idle;
      };
      consider(parts_.size(), 0, 0);
      for (const std::size_t back : to.parts) {
        const Part& other = parts_[back];
        if (other.is_fixed || other.seconds >= part.seconds || holds(busiest, other.table)) continue;
        consider(back, other.seconds, other.bytes);
      }
    }
  }
  if (best_rank < 0) return false;
  take(best_part);
  if (best_other < parts_.size()) {
    take(best_other);
    put(best_other, busiest);
  }
  put(best_part, best_rank);
  return true;
}

/// Rows or columns of one of the rank's parts go to the part beside it that lies on the least busy rank.
bool PlanSearch::level_out(int busiest) {
  const double before = level(busiest);
  double best = before * (1 - kLeastGain);
  std::size_t best_from = parts_.size(), best_to = parts_.size();
  Part new_from, new_to;
  for (const std::size_t give : ranks_[static_cast<std::size_t>(busiest)].parts) {
    const Part& part = parts_[give];
    if (part.is_copy || part.is_fixed || tables_[part.table].sharding) continue;
    const TableSpec& table = tables_[part.table];
    const bool by_rows = part.rows < table.rows;
    if (!by_rows && part.cols == table.dim) continue;
    std::size_t take_up = parts_.size();
    for (const std::size_t candidate : parts_of_table_[part.table])
      if (candidate != give && (!by_rows || parts_[candidate].first_col == part.first_col) &&
          (take_up == parts_.size() || level(parts_[candidate].rank) < level(parts_[take_up].rank)))
        take_up = candidate;
    if (take_up == parts_.size()) continue;
    const Part& other = parts_[take_up];
    const Rank &from = ranks_[static_cast<std::size_t>(busiest)], &to = ranks_[static_cast<std::size_t>(other.rank)];
    const auto shifted = [&](std::int64_t units) {
      Part less = part, more = other;
      (by_rows ? less.rows : less.cols) -= by_rows ? units : units * kColumnBlock;
      (by_rows ? more.rows : more.cols) += by_rows ? units : units * kColumnBlock;
      return std::pair(priced(less), priced(more));
    };
    const auto levels = [&](const std::pair<Part, Part>& parts) {
      return std::pair(
          level(from.seconds - part.seconds + parts.first.seconds, from.bytes - part.bytes + parts.first.bytes),
          level(to.seconds - other.seconds + parts.second.seconds, to.bytes - other.bytes + parts.second.bytes));
    };
    // The most that may go without making the other end the busier one; one part is always left. A last column part
    // that is no whole block stays as wide as it is.
    if (!by_rows && (part.cols % kColumnBlock != 0 || other.cols % kColumnBlock != 0)) continue;
    std::int64_t low = 0, high = by_rows ? part.rows - 1 : part.cols / kColumnBlock - 1;
    while (low < high) {
      const std::int64_t middle = low + (high - low + 1) / 2;
      const auto [here, there] = levels(shifted(middle));
      if (there <= here)
        low = middle;
      else
        high = middle - 1;
    }
    if (low == 0) continue;
    const auto made = shifted(low);
    const auto [here, there] = levels(made);
    if (std::max(here, there) >= best) continue;
    best = std::max(here, there);
    best_from = give;
    best_to = take_up;
    new_from = made.first;
    new_to = made.second;
  }
  if (best_from == parts_.size()) return false;
  const int to_rank = parts_[best_to].rank;
  take(best_from);
  take(best_to);
  parts_[best_from] = new_from;
  parts_[best_to] = new_to;
  put(best_from, busiest);
  put(best_to, to_rank);
  return true;
}

/// Another cut of one of the busiest rank's tables, placed anew.
bool PlanSearch::cut_anew(int busiest) {
  const double reference = objective();
  const double before = crowding(reference);
  std::vector<std::size_t> tables;
  for (const std::size_t part : ranks_[static_cast<std::size_t>(busiest)].parts)
    if (!tables_[parts_[part].table].sharding) tables.push_back(parts_[part].table);
  std::ranges::sort(tables);
  for (const std::size_t table : tables) {
    const auto capacity = static_cast<double>(options_->capacity_bytes);
    std::vector<TableCut> tried;
    for (const double share : {0.95, 0.85, 0.7, 0.5, 0.3, 0.15}) {
      const TableCut into = cheapest_cut(table, share * reference, share * capacity);
      if (std::ranges::find(tried, into) != tried.end()) continue;
      tried.push_back(into);
      if (cuts_left_-- <= 0) return false;
      PlanSearch trial(*this);
      trial.drop_table(table);
      trial.place(trial.cut(table, into));
      if (trial.objective() > reference || trial.crowding(reference) >= before * (1 - kLeastGain)) continue;
      *this = std::move(trial);
      return true;
    }
  }
  return false;
}

/// One table divided by rows so that it fills the ranks up to one level, as water would: where dividing it costs
/// little, it makes even what whole parts leave uneven.
bool PlanSearch::fill_up(std::size_t table) {
  const double before = objective();
  PlanSearch trial(*this);
  trial.drop_table(table);
  const TableSpec& spec = tables_[table];
  std::vector<std::int64_t> rows(ranks_.size());
  const auto fill_to = [&](double highest) {
    std::int64_t placed = 0;
    for (std::size_t r = 0; r < ranks_.size(); ++r) {
      const Rank& rank = trial.ranks_[r];
      std::int64_t low = 0, high = spec.rows;
      while (low < high) {
        const std::int64_t middle = low + (high - low + 1) / 2;
        const ShardCost cost = costs_[table].of({middle, spec.dim});
        if (level(rank.seconds + cost.seconds(), rank.bytes + cost.bytes()) <= highest)
          low = middle;
        else
          high = middle - 1;
      }
      rows[r] = low;
      placed += low;
    }
    return placed;
  };
  double low = 0, high = before * (1 - kLeastGain);
  if (fill_to(high) < spec.rows) return false;
  for (int i = 0; i < kFillSteps; ++i) {
    const double middle = (low + high) / 2;
    (fill_to(middle) < spec.rows ? low : high) = middle;
  }
  std::int64_t left = fill_to(high) - spec.rows;  // more room than rows: the last ranks get less
  for (std::size_t r = ranks_.size(); r-- > 0 && left > 0;) {
    const std::int64_t less = std::min(left, rows[r]);
    rows[r] -= less;
    left -= less;
  }
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    if (rows[r] == 0) continue;
    trial.parts_.push_back(priced({.table = table, .rows = rows[r], .cols = spec.dim}));
    trial.parts_of_table_[table].push_back(trial.parts_.size() - 1);
    trial.put(trial.parts_.size() - 1, static_cast<int>(r));
  }
  if (trial.objective() >= before * (1 - kLeastGain)) return false;
  *this = std::move(trial);
  return true;
}

/// The auto tables whose division by rows costs least beside what they cost whole.
bool PlanSearch::fill_up() {
  std::vector<std::pair<double, std::size_t>> by_waste;
  const auto ranks = std::ssize(ranks_);
  for (std::size_t table = 0; table < tables_.size(); ++table) {
    const TableSpec& spec = tables_[table];
    if (spec.sharding || spec.rows < ranks) continue;
    const double divided = static_cast<double>(ranks) * costs_[table].of({spec.rows / ranks, spec.dim}).seconds();
    by_waste.emplace_back(divided - costs_[table].of({spec.rows, spec.dim}).seconds(), table);
  }
  std::ranges::sort(by_waste);
  if (by_waste.size() > kFillers) by_waste.resize(kFillers);
  return std::ranges::any_of(by_waste, [&](const auto& entry) { return fill_up(entry.second); });
}

void PlanSearch::kick(std::uint64_t draw) {
  std::uint64_t counter = 0;
  const auto below = [&](std::size_t count) {
    return static_cast<std::size_t>(random::bits(0, draw, counter++) % count);
  };
  std::vector<std::size_t> tables;
  for (std::size_t table = 0; table < tables_.size(); ++table)
    if (!tables_[table].sharding) tables.push_back(table);
  if (tables.empty()) return;
  const double reference = objective();
  const auto capacity = static_cast<double>(options_->capacity_bytes);
  std::vector<Part> parts;
  for (std::size_t i = 0, count = 1 + below(kKickedTables); i < count; ++i) {
    const std::size_t table = tables[below(tables.size())];
    if (parts_of_table_[table].empty()) continue;  // drawn before
    std::vector<TableCut> within;
    for (const TableCut& cut : (*cuts_)[table]) {
      const ShardCost part = costs_[table].of(largest_part(tables_[table], cut));
      if (part.seconds() <= reference && (capacity <= 0 || part.bytes() <= capacity)) within.push_back(cut);
    }
    if (within.empty()) continue;
    drop_table(table);
    const auto made = cut(table, within[below(within.size())]);
    parts.insert(parts.end(), made.begin(), made.end());
  }
  place(std::move(parts));
}

int PlanSearch::improve(int most_moves) {
  int moves = 0;
  cuts_left_ = kMostCuts;
  while (moves < most_moves) {
    int busiest = 0;
    for (int rank = 1; rank < std::ssize(ranks_); ++rank)
      if (level(rank) > level(busiest)) busiest = rank;
    if (!move_or_swap(busiest) && !level_out(busiest) && !cut_anew(busiest) && !fill_up()) break;
    ++moves;
  }
  return moves;
}

}  // namespace swallowtail
