// Graph re-ranking of a pool: what is alike lends one another its score,
//   s_out = sum_{l <= 2} a_l A^l s + w * <u, e_i>,
// A: the item graph within the pool; e_i: row i of (1 + A + A^2) / 3 over the whole graph, the propagated identity, and
// u the mean of the rows of the last items of the history, so that <u, e_i> says how near item i lies to them. It
// starts as the identity, a = (1, 0, 0), w = 0; a and w are trained by BPR on items that nothing has seen. The rows e
// are those of the graph itself: a free vector for each item would be fitted to one item a user. Source: SAP.md 2.8.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <vector>

#include "trainer/sap/item_graph.h"
#include "trainer/sap/pooled.h"

namespace swallowtail {

class GraphRerank {
 public:
  static constexpr std::size_t kFeatures = 4;  // s, A s, A^2 s, nearness to the history

  GraphRerank(const GraphOptions& options, std::int64_t items);
  /// Made anew wherever a run is opened: it follows from the data. Before all else.
  void use(ItemGraph graph) { graph_ = std::move(graph); }

  /// s_out of the pool's items from their scores s; in place.
  void rerank(const PooledRow& row, std::span<float> scores) const;
  bool is_identity() const;

  /// Collective. `scorer` gives s. As ProductLayer::train().
  nlohmann::json train(const PooledRows& learn, const PooledRows& judge, const RowScorer& scorer, std::int64_t k,
                       std::uint64_t seed, Communicator& ranks);

  std::vector<RankerState> state() { return {ranker_state("sap/graph/weights", {kFeatures}, weights_)}; }
  const ItemGraph& graph() const noexcept { return graph_; }
  std::span<const float> weights() const noexcept { return weights_; }
  /// Items of the history that `item` is nearest to in the graph, nearest first, at most `most`.
  std::vector<Ranker::Reason> like(std::span<const std::int64_t> history, std::int64_t item, std::size_t most) const;

 private:
  /// [pool, kFeatures], each but the first standardised to the deviation of s.
  std::vector<float> features(const PooledRow& row, std::span<const float> scores) const;

  ItemGraph graph_;
  GraphOptions options_;
  std::int64_t items_;
  std::vector<float> weights_{1, 0, 0, 0};
};

}  // namespace swallowtail
