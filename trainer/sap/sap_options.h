// What sap.* says of the pipeline, as plain values. Strata, pool and re-ordering have their own.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "trainer/config/experiment.h"
#include "trainer/sap/item_pool.h"
#include "trainer/sap/strata.h"

namespace swallowtail {

enum class SapMethod : std::uint8_t { automatic, usual, listed };

struct ProductOptions {
  bool equal_weights = false;
  bool selects = true;  // drops components that do not help on validation
  std::int64_t steps = 60, check_every = 10, negatives = 16, users = 20000;  // 0 steps: the searched weights alone
  double learning_rate = 0.003, weight_decay = 1e-3;
  std::vector<std::int64_t> hidden{32, 16};
};

struct GraphOptions {
  bool enabled = true;
  double semantic_share = 0.5, shrink = 10, learning_rate = 0.02;
  std::int64_t neighbors = 50, semantic_neighbors = 20, history = 20, steps = 100, check_every = 10;
};

struct ReorderChoice {
  bool enabled = true;
  double keep = 0.98;             // of the validation's NDCG
  std::string floor_of;           // component whose NDCG the share is of; empty: the lists before re-ordering
  std::int64_t candidates = 100;  // best items of a list that are re-ordered
  std::int64_t length = 20;       // items that are chosen one by one; the rest follows in its order
};

struct SapOptions {
  bool strata_enabled = true, refits = true, calibrates = true;
  std::optional<double> prior;  // n0 of the shrinkage n / (n + n0); else chosen
  SapMethod method = SapMethod::automatic;
  std::map<std::string, std::vector<std::string>> listed;  // stratum -> components
  std::vector<std::string> sources;                        // components that propose items; empty: all
  StrataOptions strata;
  PoolOptions pool;
  ProductOptions product;
  GraphOptions graph;
  ReorderChoice reorder;
  std::int64_t k = 10;  // list length that is steered by
  std::uint64_t seed = 1;
};

SapOptions sap_options(const Experiment& experiment);

}  // namespace swallowtail
