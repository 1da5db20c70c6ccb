// Secondary re-ordering as a stage: the order of a user's pool by its scores, of which the best items are chosen anew,
// one by one, by likeness and novelty (reorder.h). How much these weigh is chosen on validation: as much as leaves the
// NDCG at a share of a floor, which is that of the lists before re-ordering or that of a component alone.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "trainer/sap/pooled.h"
#include "trainer/sap/reorder.h"
#include "trainer/sap/sap_options.h"

namespace swallowtail {

class SecondaryOrder {
 public:
  /// `likeness`: the column of data.items whose categories say how alike items are; null: re-ordering is off.
  SecondaryOrder(const Experiment& experiment, const Interactions& data, const SideColumn* likeness,
                 const ReorderChoice& choice);

  /// Places of the pool, best first.
  std::vector<std::size_t> order(const PooledRow& row, std::span<const float> scores) const;

  /// Collective: tries weights on `judge` and keeps those that spread the lists most while NDCG@k is at least
  /// `keep` * `floor` (below 0: of the lists before). Returns what was tried.
  nlohmann::json choose(const PooledRows& judge, const RowScorer& scorer, std::int64_t k, double floor,
                        Communicator& ranks);
  std::span<const std::int64_t> blocked() const noexcept { return blocked_; }
  std::vector<RankerState> state() { return {ranker_state("sap/reorder/weights", {2}, weights_)}; }

 private:
  ReorderOptions options_of(const PooledRow& row, double lambda, double nu, std::int64_t length) const;
  std::vector<std::size_t> order_with(const PooledRow& row, std::span<const float> scores,
                                      const ReorderOptions& options) const;

  ReorderChoice choice_;
  ReorderOptions options_;
  std::vector<float> weights_{0, 0};  // lambda, nu
  bool chooses_ = true, has_constraints_ = false;
  double fixed_lambda_ = -1, fixed_nu_ = -1;  // of the experiment; below 0: chosen
  const SideColumn* likeness_;
  std::vector<std::int64_t> codes_;  // of likeness_, rising within an item
  std::vector<float> novelty_;
  std::int64_t items_;
  ReorderConstraints constraints_;
  std::vector<std::uint8_t> is_new_;
  std::vector<std::int64_t> blocked_, must_have_;
};

}  // namespace swallowtail
