// The parts of a ranking run, composed from an experiment, and its evaluation. This header knows no torch.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/save.h"
#include "trainer/config/experiment.h"
#include "trainer/data/interactions.h"
#include "trainer/evaluation/ranked_lists.h"
#include "trainer/ranking/composed_ranker.h"

namespace swallowtail {

/// What evaluation.metrics and evaluation.k name, expanded: "ndcg@10". Errors: usage.
std::vector<std::string> metrics_of_ranking(const Experiment& experiment);

struct RankingSession {
  /// Sets the threads of this rank and makes the model, with its first weights.
  /// Errors: usage for options that contradict one another and unknown metrics.
  RankingSession(const Experiment& experiment, Interactions data, Communicator& ranks, const RunPlace& run = {});

  const Experiment experiment;
  Communicator& ranks;
  const Interactions data;
  std::vector<std::string> metrics;  // expanded: "ndcg@10"
  std::int64_t longest;              // of evaluation.k and the metrics' own
  std::unique_ptr<Ranker> model;
};

/// Items of several histories of one user, in that order.
std::vector<std::int64_t> joined(std::int64_t user, std::initializer_list<const Histories*> parts);

/// What the test part is asked to find: validation or test, and what is known and hidden then.
enum class RankedPart : std::uint8_t { validation, test };

using RankingValues = std::vector<std::pair<std::string, MetricValue>>;

struct RankingSlice {
  std::string name;  // "cold users", "stratum 1" and other groups of the model, "head items", …
  std::int64_t users = 0;
  RankingValues metrics;
};

struct RankingResult {
  std::vector<std::int64_t> users;  // with at least one relevant item, rising
  RankedLists lists;                // of these users
  RankingValues metrics;
  RankingValues
      by_length;  // ndcg, recall and hit_rate at lengths up to that of the lists, where longer ones were asked
  std::vector<RankingSlice> slices;
  std::string protocol;  // in words: candidates, mask, history
};

/// Collective: lists of at least `longest` items (session.longest where it is less) for every user with a relevant
/// item, and the metrics; the same bits on every rank and for every number of ranks. The model is prepared to score.
/// Errors: numbers where a score is NaN.
RankingResult rank_part(RankingSession& session, RankedPart part, std::int64_t longest = 0);

/// Collective: the best `k` for each query, with their scores, by the same rules: items of `hidden` (one bag a query)
/// are left out, and users that the model does not know get the most popular items. Every rank gets all lists.
struct Recommendation {
  std::vector<std::int64_t> items;
  std::vector<float> scores;
  bool by_popularity = false;
};
std::vector<Recommendation> recommend_items(RankingSession& session, std::span<const RankingQuery> queries,
                                            const std::vector<std::vector<std::int64_t>>& hidden, std::int64_t k);

/// Tensors of this rank for a checkpoint, and the way back. Errors of the way back: damaged.
std::vector<TensorRef> ranking_tensors(RankingSession& session);
void restore_ranking(const Checkpoint& checkpoint, RankingSession& session);

}  // namespace swallowtail
