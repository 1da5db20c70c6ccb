#include "trainer/sap/item_graph.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "trainer/ranking/co_occurrence.h"

namespace swallowtail {
namespace {

using Edge = ItemGraph::Edge;

/// The `most` heaviest, ties by smaller item.
void keep_heaviest(std::vector<Edge>& edges, std::int64_t most) {
  std::ranges::stable_sort(edges, std::greater<>(), &Edge::weight);
  edges.resize(std::min(edges.size(), static_cast<std::size_t>(most)));
}

std::vector<Edge> alike_by_text(std::span<const float> vectors, std::int64_t dim, std::int64_t items, std::int64_t item,
                                std::span<const float> norms) {
  std::vector<Edge> edges;
  if (norms[item] == 0) return edges;
  const float* const own = vectors.data() + item * dim;
  for (std::int64_t other = 0; other < items; ++other) {
    if (other == item || norms[other] == 0) continue;
    float dot = 0;
    for (std::int64_t d = 0; d < dim; ++d) dot += own[d] * vectors[static_cast<std::size_t>(other * dim + d)];
    if (dot > 0) edges.push_back({other, dot / (norms[item] * norms[other])});
  }
  return edges;
}

}  // namespace

ItemGraph::ItemGraph(const Histories& train, std::int64_t items, std::span<const float> vectors,
                     const GraphOptions& options) {
  const std::int64_t dim = items == 0 ? 0 : static_cast<std::int64_t>(vectors.size()) / items;
  const double semantic = dim == 0 ? 0 : options.semantic_share;
  std::vector<std::map<std::int64_t, float>> rows(static_cast<std::size_t>(items));
  const auto add = [&](std::int64_t from, const std::vector<Edge>& edges, double share) {
    for (const Edge& edge : edges) rows[from][edge.to] += static_cast<float>(share * edge.weight);
  };
  const CoOccurrence together(train, items);
  together.for_each_row(0, items, [&](std::int64_t item, auto others, auto counts) {
    std::vector<Edge> edges;
    for (const std::int64_t other : others)
      edges.push_back({other, static_cast<float>(static_cast<double>(counts[other]) /
                                                 (std::sqrt(static_cast<double>(together.users()[item]) *
                                                            static_cast<double>(together.users()[other])) +
                                                  options.shrink))});
    keep_heaviest(edges, options.neighbors);
    add(item, edges, 1 - semantic);
  });
  if (semantic > 0) {
    std::vector<float> norms(static_cast<std::size_t>(items));
    for (std::int64_t item = 0; item < items; ++item) {
      float squares = 0;
      for (std::int64_t d = item * dim; d < (item + 1) * dim; ++d) squares += vectors[d] * vectors[d];
      norms[item] = std::sqrt(squares);
    }
    for (std::int64_t item = 0; item < items; ++item) {
      auto edges = alike_by_text(vectors, dim, items, item, norms);
      keep_heaviest(edges, options.semantic_neighbors);
      add(item, edges, semantic);
    }
  }
  for (std::int64_t item = 0; item < items; ++item)
    for (const auto& [other, weight] : std::map(rows[item]))
      rows[other][item] = std::max(rows[other][item], weight);  // a direction that was not there is 0
  std::vector<double> degree(rows.size(), 0);
  for (std::int64_t item = 0; item < items; ++item)
    for (const auto& [other, weight] : rows[item]) degree[item] += weight;
  for (std::int64_t item = 0; item < items; ++item) {
    for (const auto& [other, weight] : rows[item])
      if (weight > 0) edges_.push_back({other, static_cast<float>(weight / std::sqrt(degree[item] * degree[other]))});
    offsets_.push_back(static_cast<std::int64_t>(edges_.size()));
  }
}

void ItemGraph::propagate(std::span<const std::int64_t> items, std::span<const float> in, std::span<float> out) const {
  for (std::size_t i = 0; i < items.size(); ++i) {
    float sum = 0;
    std::size_t place = 0;  // both rise: they are merged
    for (const Edge& edge : of(items[i])) {
      place = static_cast<std::size_t>(
          std::lower_bound(items.begin() + static_cast<std::ptrdiff_t>(place), items.end(), edge.to) - items.begin());
      if (place == items.size()) break;
      if (items[place] == edge.to) sum += edge.weight * in[place];
    }
    out[i] = sum;
  }
}

}  // namespace swallowtail
