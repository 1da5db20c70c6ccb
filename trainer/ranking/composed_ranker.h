// A ranker that is made of others, and what only such a one can say.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "trainer/ranking/ranker.h"

namespace swallowtail {

/// Where it keeps them.
struct RunPlace {
  std::filesystem::path dir{};  // of the run; empty: nowhere
  bool quiet = false;           // nothing on standard error
};

/// The table that goes from stage to stage for one user: what the components propose, and what each stage made of it.
struct PoolLine {
  std::int64_t item = kColdId;
  std::int64_t place = 0;            // in the order that is shown, from 1
  float weighed = 0, reranked = 0;   // scores after the product layer and after the graph
  std::vector<std::size_t> sources;  // numbers of the components that proposed it; none: it filled the pool up
  std::vector<float> scores;         // [components] standardised over the pool
};

class ComposedRanker : public Ranker {
 public:
  /// What summary.json says of the model beside its figures: keys of its own. Empty before fit() or, of a
  /// finished run, prepare_scores().
  virtual nlohmann::json facts() const = 0;
  /// Component -> share of the item's score that it brings, largest first. Collective, as score() and reasons() are.
  virtual std::vector<std::pair<std::string, double>> shares(const RankingQuery& query, std::int64_t item) const = 0;
  virtual std::vector<std::string> component_names() const = 0;
  /// The pool of each query, best first. Collective, as score() is.
  virtual std::vector<std::vector<PoolLine>> pools(std::span<const RankingQuery> queries) const = 0;
};

}  // namespace swallowtail
