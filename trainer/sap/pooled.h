// Pools of many users with the scores of every component: the table that goes from stage to stage. The users are
// divided among ranks in blocks of kPoolBlock, so that a user stands beside the same others on any number of ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/sap/components.h"
#include "trainer/sap/item_pool.h"
#include "trainer/sap/strata.h"

namespace swallowtail {

constexpr std::int64_t kPoolBlock = 64;
constexpr std::int32_t kNewStratum = -2;  // of users without any training interaction; kColdStratum: with too few

/// What one stage hands to the next for one user.
struct PooledRow {
  std::int64_t user = kColdId;
  std::int32_t stratum = kNewStratum;     // or kColdStratum, or a number
  std::span<const std::int64_t> history;  // oldest first; borrowed
  ItemPool pool;                          // scores [C, P]: standardised over the pool, 0 where not `known`
  std::uint64_t known = 0;                // bit c: component c knows the user and serves the user's stratum
  std::vector<std::int32_t> relevant;     // places in the pool of the items that the user took
  std::int64_t wanted = 0;                // how many the user took, in the pool or not
};

/// Rows of this rank, and how they stand among all.
struct PooledRows {
  std::vector<PooledRow> rows;
  std::int64_t all = 0;    // of every rank
  std::int64_t first = 0;  // number of rows[0] among all
  std::int64_t blocks() const noexcept { return (all + kPoolBlock - 1) / kPoolBlock; }
};

/// With nothing to find for cold and new users, so that they count for nothing.
PooledRows of_strata(PooledRows rows);

struct PoolAsk {
  RankingQuery query;
  std::int32_t stratum = 0;  // whose gate counts
  std::int32_t nearest = 0;  // whose popular items fill a pool that is too small; below 0: those of all
  std::span<const std::int64_t> relevant;
  std::uint64_t components = ~std::uint64_t{0};  // that the user is served by
};

class Pooler {
 public:
  /// All outlive it. `popular`: the catalogue by training interactions in each stratum, most popular first, the cold
  /// one last.
  Pooler(std::span<const SapComponent> components, const IdList& users, std::int64_t items, const PoolOptions& options,
         std::uint64_t sources, const std::vector<std::vector<std::int64_t>>& popular);

  /// One block of queries that this rank asks for; ranks may have none while others have some, but all call. The scores
  /// that components gave to the whole catalogue are dropped.
  std::vector<PooledRow> block(std::span<const PoolAsk> asks) const;
  /// Collective: every user of `asks`, which are the same on every rank, in blocks. What is not kept of a pool is
  /// cleared by `trim`.
  PooledRows all(std::span<const PoolAsk> asks, Communicator& ranks,
                 const std::function<void(PooledRow&)>& trim = {}) const;

 private:
  PooledRow row(const PoolAsk& ask, std::span<const std::span<const float>> scores, std::uint64_t known) const;

  std::span<const SapComponent> components_;
  const IdList& users_;
  std::int64_t items_;
  PoolOptions options_;
  std::uint64_t sources_;
  const std::vector<std::vector<std::int64_t>>& popular_;
};

/// What pools found of the items that users really took.
struct PoolCensus {
  std::int64_t relevant = 0, found = 0, items = 0;  // looked for; of them in a pool; in the pools in all
  std::vector<std::int64_t> hits, sole_hits;        // [C] found that it proposed; … and nobody else did
};
/// Collective.
PoolCensus census_of(const PooledRows& rows, std::size_t components, Communicator& ranks);

/// A score for every item of the row's pool.
using RowScorer = std::function<void(const PooledRow&, std::span<float>)>;

/// NDCG@k of the pool's order by `scores`, ties by rising item.
double row_ndcg(const PooledRow& row, std::span<const float> scores, std::int64_t k);
/// Collective: the mean over all rows with something wanted, the same bits on every rank and any number of ranks.
double pooled_ndcg(const PooledRows& rows, const RowScorer& scorer, std::int64_t k, Communicator& ranks);
/// Mean over all rows of `value` of this rank's rows, by sums in fixed point: exact, so in any order. |value| < 2^20.
double exact_mean(std::span<const double> values, std::int64_t all, Communicator& ranks);

}  // namespace swallowtail
