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

class ComposedRanker : public Ranker {
 public:
  /// What summary.json says of the model beside its figures: keys of its own. After fit(), else empty.
  virtual nlohmann::json facts() const = 0;
  /// Component -> share of the item's score that it brings, largest first. Collective, as score() and reasons() are.
  virtual std::vector<std::pair<std::string, double>> shares(const RankingQuery& query, std::int64_t item) const = 0;
};

}  // namespace swallowtail
