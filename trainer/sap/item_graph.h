// A graph of items that are alike: share of those that the same users touch, n_ij / (sqrt(n_i n_j) + shrink), the best
// of each item, and of those whose text is alike, max(0, cosine); made symmetric by the larger direction and normalised
// by sqrt of the degrees, so that its spectrum lies in [-1, 1] and hubs do not drown the rest. Counted on training
// interactions only. Source: SAP.md 2.8; the normalisation as in LightGCN.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/data/interactions.h"
#include "trainer/sap/sap_options.h"

namespace swallowtail {

class ItemGraph {
 public:
  struct Edge {
    std::int64_t to;
    float weight;
  };
  ItemGraph() = default;
  /// `vectors` [items, dim]: of the items' text; empty where there is none, then co-occurrence has it all.
  ItemGraph(const Histories& train, std::int64_t items, std::span<const float> vectors, const GraphOptions& options);

  std::span<const Edge> of(std::int64_t item) const {
    return std::span(edges_).subspan(static_cast<std::size_t>(offsets_[item]),
                                     static_cast<std::size_t>(offsets_[item + 1] - offsets_[item]));
  }
  std::int64_t edges() const noexcept { return static_cast<std::int64_t>(edges_.size()); }
  /// out[i] = sum over neighbours j of weight_ij * in[j], within `items` (rising): their subgraph. in, out [items].
  void propagate(std::span<const std::int64_t> items, std::span<const float> in, std::span<float> out) const;

 private:
  std::vector<std::int64_t> offsets_{0};  // [items + 1]
  std::vector<Edge> edges_;               // by rising `to`
};

}  // namespace swallowtail
