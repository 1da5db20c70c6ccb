#include "trainer/sap/pooled.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>

#include "parallel/deterministic_reduce.h"
#include "trainer/evaluation/ranked_lists.h"

namespace swallowtail {
namespace {

constexpr double kFixedPoint = 0x1.0p40;

/// To mean 0 and deviation 1 over the pool; zeros where all are alike.
void standardise(std::span<float> scores) {
  const auto count = static_cast<double>(scores.size());
  double mean = 0, squares = 0;
  for (const float score : scores) mean += score / count;
  for (const float score : scores) squares += (score - mean) * (score - mean) / count;
  const double deviation = std::sqrt(squares);
  const bool is_flat = !(deviation > 1e-12 * std::max(1.0, std::abs(mean)));
  for (float& score : scores) score = is_flat ? 0.0F : static_cast<float>((score - mean) / deviation);
}

}  // namespace

PooledRows of_strata(PooledRows rows) {
  for (PooledRow& row : rows.rows) {
    if (row.stratum >= 0) continue;
    row.relevant.clear();
    row.wanted = 0;
  }
  return rows;
}

Pooler::Pooler(std::span<const SapComponent> components, const IdList& users, std::int64_t items,
               const PoolOptions& options, std::uint64_t sources, const std::vector<std::vector<std::int64_t>>& popular)
    : components_(components), users_(users), items_(items), options_(options), sources_(sources), popular_(popular) {}

PooledRow Pooler::row(const PoolAsk& ask, std::span<const std::span<const float>> scores, std::uint64_t known) const {
  PooledRow row;
  row.user = ask.query.user;
  row.stratum = ask.stratum;
  row.history = ask.query.history;
  row.known = known;
  const std::int64_t depth =
      std::min(items_, options_.per_component + static_cast<std::int64_t>(ask.query.history.size()));
  std::vector<std::vector<std::int64_t>> lists(components_.size());
  PoolInput input;
  for (std::size_t c = 0; c < components_.size(); ++c) {
    if ((known & sources_) >> c & 1) lists[c] = top_k(scores[c], depth);
    input.lists.emplace_back(lists[c]);
  }
  input.hidden = ask.query.history;
  const std::size_t last = popular_.size() - 1;
  input.popular = popular_[ask.nearest < 0 ? last : std::min(last, static_cast<std::size_t>(ask.nearest))];
  row.pool = merge_proposals(input, options_, ask.query.user == kColdId ? "unknown" : users_.name(ask.query.user));
  const auto size = static_cast<std::size_t>(row.pool.size());
  for (std::size_t c = 0; c < components_.size(); ++c) {
    if (!(known >> c & 1)) continue;
    const auto own = std::span(row.pool.scores).subspan(c * size, size);
    for (std::size_t place = 0; place < size; ++place) own[place] = scores[c][row.pool.items[place]];
    standardise(own);
  }
  row.wanted = static_cast<std::int64_t>(ask.relevant.size());
  for (const std::int64_t item : ask.relevant) {
    const auto place = std::ranges::lower_bound(row.pool.items, item);
    if (place != row.pool.items.end() && *place == item)
      row.relevant.push_back(static_cast<std::int32_t>(place - row.pool.items.begin()));
  }
  return row;
}

std::vector<PooledRow> Pooler::block(std::span<const PoolAsk> asks) const {
  std::vector<RankingQuery> queries;
  for (const PoolAsk& ask : asks) queries.push_back(ask.query);
  const auto rows = static_cast<std::int64_t>(asks.size());
  std::vector<std::vector<float>> scores(components_.size());
  for (std::size_t c = 0; c < components_.size(); ++c) {
    scores[c].resize(static_cast<std::size_t>(rows * items_));
    components_[c].model->score(queries, scores[c]);
  }
  std::vector<PooledRow> made(asks.size());
  std::vector<std::exception_ptr> failures(asks.size());  // none may leave the threads
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t r = 0; r < rows; ++r) try {
      std::vector<std::span<const float>> own;
      std::uint64_t known = 0;
      for (std::size_t c = 0; c < components_.size(); ++c) {
        own.push_back(
            std::span(scores[c]).subspan(static_cast<std::size_t>(r * items_), static_cast<std::size_t>(items_)));
        if (asks[r].components >> c & 1 && components_[c].model->knows(queries[r])) known |= std::uint64_t{1} << c;
      }
      made[r] = row(asks[r], own, known);
    } catch (...) {
      failures[r] = std::current_exception();
    }
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return made;
}

PooledRows Pooler::all(std::span<const PoolAsk> asks, Communicator& ranks,
                       const std::function<void(PooledRow&)>& trim) const {
  PooledRows made;
  made.all = static_cast<std::int64_t>(asks.size());
  const auto [first, end] = chunk_share(made.blocks(), ranks.rank(), ranks.world_size());
  std::int64_t rounds = 0;
  for (int rank = 0; rank < ranks.world_size(); ++rank) {
    const auto [begin, behind] = chunk_share(made.blocks(), rank, ranks.world_size());
    rounds = std::max(rounds, behind - begin);
  }
  made.first = std::min(made.all, first * kPoolBlock);
  for (std::int64_t round = 0; round < rounds; ++round) {
    const std::int64_t begin = std::min({made.all, (first + round) * kPoolBlock, end * kPoolBlock});
    const std::int64_t behind = std::min({made.all, begin + kPoolBlock, end * kPoolBlock});
    for (PooledRow& row :
         block(asks.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(behind - begin)))) {
      if (trim) trim(row);
      made.rows.push_back(std::move(row));
    }
  }
  return made;
}

PoolCensus census_of(const PooledRows& rows, std::size_t components, Communicator& ranks) {
  PoolCensus census{.hits = std::vector<std::int64_t>(components, 0),
                    .sole_hits = std::vector<std::int64_t>(components, 0)};
  std::vector<std::int64_t> sums(3, 0);
  for (const PooledRow& row : rows.rows) {
    sums[0] += row.wanted;
    sums[1] += static_cast<std::int64_t>(row.relevant.size());
    sums[2] += row.pool.size();
    for (const std::int32_t place : row.relevant) {
      const std::uint64_t from = row.pool.sources[static_cast<std::size_t>(place)];
      for (std::size_t c = 0; c < components; ++c) {
        census.hits[c] += from >> c & 1;
        census.sole_hits[c] += from == std::uint64_t{1} << c ? 1 : 0;
      }
    }
  }
  for (std::vector<std::int64_t>* counts : {&sums, &census.hits, &census.sole_hits})
    ranks.all_reduce_sum(Tag{"census of pools"}, std::span(*counts));
  census.relevant = sums[0];
  census.found = sums[1];
  census.items = sums[2];
  return census;
}

double row_ndcg(const PooledRow& row, std::span<const float> scores, std::int64_t k) {
  if (row.wanted == 0) return 0;
  double gain = 0, ideal = 0;
  for (const std::int32_t place : row.relevant) {
    std::int64_t rank = 1;
    for (std::int32_t other = 0; other < static_cast<std::int32_t>(scores.size()); ++other)
      rank += scores[other] > scores[place] || (scores[other] == scores[place] && other < place) ? 1 : 0;
    if (rank <= k) gain += 1 / std::log2(static_cast<double>(rank) + 1);
  }
  for (std::int64_t rank = 1; rank <= std::min(k, row.wanted); ++rank)
    ideal += 1 / std::log2(static_cast<double>(rank) + 1);
  return gain / ideal;
}

double exact_mean(std::span<const double> values, std::int64_t all, Communicator& ranks) {
  std::int64_t sum = 0;
  for (const double value : values) sum += std::llround(value * kFixedPoint);
  ranks.all_reduce_sum(Tag{"exact mean"}, std::span(&sum, 1));
  return all == 0 ? 0 : static_cast<double>(sum) / kFixedPoint / static_cast<double>(all);
}

double pooled_ndcg(const PooledRows& rows, const RowScorer& scorer, std::int64_t k, Communicator& ranks) {
  std::vector<double> values(rows.rows.size(), 0.0);
#pragma omp parallel
  {
    std::vector<float> scores;
#pragma omp for schedule(dynamic, 8)
    for (std::size_t r = 0; r < rows.rows.size(); ++r) {
      if (rows.rows[r].relevant.empty()) continue;  // whatever the scores
      scores.resize(static_cast<std::size_t>(rows.rows[r].pool.size()));
      scorer(rows.rows[r], scores);
      values[r] = row_ndcg(rows.rows[r], scores, k);
    }
  }
  return exact_mean(values, rows.all, ranks);
}

}  // namespace swallowtail
