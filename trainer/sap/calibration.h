// From a score to a chance: sigmoid(a * s + b) (Platt), fitted to what users took of their pools on validation. It
// keeps the order. Source: Platt 1999, with the targets of Lin, Lin and Weng 2007.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "trainer/sap/pooled.h"

namespace swallowtail {

class Calibration {
 public:
  /// Collective. Returns {a, b, base_rate, ece}: ece over 15 bins of equally many scores.
  nlohmann::json fit(const PooledRows& judge, const RowScorer& scorer, Communicator& ranks);
  double chance(double score) const;
  std::vector<RankerState> state() { return {ranker_state("sap/calibration", {2}, values_)}; }

 private:
  std::vector<float> values_{1, 0};  // a, b; a >= 0
};

}  // namespace swallowtail
