// Ranked lists of items, one a user, and what they are held against. Items are numbers of the catalogue; order: score
// falling, equal scores by rising item number (the order of the items' external ids).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "trainer/evaluation/metrics.h"

namespace swallowtail {

/// The best k of scores[i], i in [0, items), in order. A score of -infinity stands for an item that may not be
/// recommended and is never in the list, so the list may be shorter than k.
/// Errors: numbers where a score is NaN.
std::vector<std::int64_t> top_k(std::span<const float> scores, std::int64_t k);
/// The same among `candidates` only.
std::vector<std::int64_t> top_k(std::span<const float> scores, std::span<const std::int64_t> candidates,
                                std::int64_t k);

/// A list of items for each of N users, the longest of k.
struct RankedLists {
  std::int64_t k = 0;
  std::vector<std::int64_t> items;  // [N, k], -1 behind the end of a shorter list

  std::span<const std::int64_t> of(std::int64_t row) const;
};

/// Bags of items, one a user: bag u is items[offsets[u]] … items[offsets[u + 1] - 1]. Borrowed.
struct ItemBags {
  std::span<const std::int64_t> offsets, items;
  std::span<const std::int64_t> of(std::int64_t row) const {
    return items.subspan(static_cast<std::size_t>(offsets[row]),
                         static_cast<std::size_t>(offsets[row + 1] - offsets[row]));
  }
};

/// What is measured against. All spans are borrowed.
struct RankingTruth {
  ItemBags relevant;                           // of the same rows as the lists; repeated items count once
  std::span<const std::int64_t> train_counts;  // [items] interactions of each item in training; also the catalogue
  std::int64_t train_users = 0;                // users with an interaction in training, for novelty
  ItemBags properties;                         // [items] categories of each item, for diversity; empty: undefined
};

/// Metrics of one user's list; each in [0, 1].
struct UserMetrics {
  double precision = 0, recall = 0, f1 = 0, map = 0, ndcg = 0, mrr = 0, hit_rate = 0;
};
/// `relevant`: distinct, any order, at least one. The list is cut at k.
UserMetrics user_metrics(std::span<const std::int64_t> list, std::span<const std::int64_t> relevant, std::int64_t k);

/// Names that rankings are measured by, without "@K".
std::span<const std::string_view> ranking_metrics();

/// "ndcg" stands for all of `ks`, "ndcg@5" for one K. Errors: usage, with the nearest name.
std::vector<std::string> expand_ranking_metrics(std::span<const std::string> names, std::span<const std::int64_t> ks);

/// name -> value of the rows `rows` (all of them where it is null), in the order of `names` (as expand_ranking_metrics
/// gives them). Means are over the rows with at least one relevant item; coverage, diversity, novelty and Gini over the
/// same rows' lists. Sums go in the order of rows, compensated, so that nothing but the lists decides the bits.
/// Definitions: SAP.md section 5.
///   coverage@K   distinct items in the lists / items of the catalogue
///   diversity@K  mean over users of the mean over pairs of a list of 1 - cosine of the items' categories; lists with
///                fewer than two items are skipped; two items without category count as different
///   novelty@K    mean over recommendations of -log2((n_i + 1) / (train_users + 1))
///   gini@K       of how often each item of the catalogue is recommended; 0 all alike, 1 a single one
std::vector<std::pair<std::string, MetricValue>> measure_rankings(const RankedLists& lists, const RankingTruth& truth,
                                                                  std::span<const std::string> names,
                                                                  const std::vector<std::int64_t>* rows = nullptr);

}  // namespace swallowtail
