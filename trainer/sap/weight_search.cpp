#include "trainer/sap/weight_search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

namespace swallowtail {
namespace {

constexpr std::array kTried{0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0};
constexpr int kPasses = 3;
constexpr std::size_t kStarts = 3;  // components that a search begins from, since each may end elsewhere

}  // namespace

RowScorer weighted(const std::vector<double>& weights) {
  return [&weights](const PooledRow& row, std::span<float> out) {
    const std::size_t size = out.size();
    std::ranges::fill(out, 0.0F);
    for (std::size_t c = 0; c < weights.size(); ++c) {
      if (weights[c] == 0) continue;
      const float* const z = row.pool.scores.data() + c * size;
      const auto weight = static_cast<float>(weights[c]);
      for (std::size_t place = 0; place < size; ++place) out[place] += weight * z[place];
    }
  };
}

std::vector<double> search_weights(const PooledRows& rows, std::int64_t components, std::uint64_t allowed,
                                   std::vector<double> start, std::int64_t k, Communicator& ranks) {
  const auto count = static_cast<std::size_t>(components);
  const auto ndcg_of = [&](const std::vector<double>& weights) {
    return pooled_ndcg(rows, weighted(weights), k, ranks);
  };
  const auto only = [&](std::size_t component) {
    std::vector<double> weights(count, 0.0);
    weights[component] = 1;
    return weights;
  };
  std::vector<double> alone(count, -1);
  for (std::size_t c = 0; c < count; ++c)
    if (allowed >> c & 1) alone[c] = ndcg_of(only(c));
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t c) { return alone[c]; });

  std::vector<std::vector<double>> starts{std::move(start)};
  if (starts.front().empty()) {
    starts.clear();
    for (const std::size_t c : order)
      if (allowed >> c & 1 && starts.size() < kStarts) starts.push_back(only(c));
  }
  std::vector<double> found;
  double best = -1;
  for (std::vector<double>& weights : starts) {
    double reached = ndcg_of(weights);
    for (int pass = 0; pass < kPasses; ++pass) {
      const double before = reached;
      for (const std::size_t c : order) {
        if (!(allowed >> c & 1)) continue;
        std::vector<double> tried = weights;
        for (const double weight : kTried) {
          tried[c] = weight;
          const double value = ndcg_of(tried);
          if (value > reached) {
            reached = value;
            weights[c] = weight;
          }
        }
      }
      if (reached == before) break;
    }
    if (reached > best) {
      best = reached;
      found = weights;
    }
  }
  return found;
}

ComponentChoice choose_components(std::uint64_t all, std::uint64_t pinned,
                                  const std::function<double(std::uint64_t)>& ndcg_of) {
  ComponentChoice choice{.kept = all, .ndcg_of_all = ndcg_of(all), .dropped = {}};
  double reached = choice.ndcg_of_all;
  while (reached > 0 && std::popcount(choice.kept) > 1) {
    ComponentChoice::Dropped best{0, -1};
    for (std::size_t c = 0; c < 64; ++c) {
      if (!((choice.kept & ~pinned) >> c & 1)) continue;
      const double without = ndcg_of(choice.kept & ~(std::uint64_t{1} << c));
      if (without > best.ndcg) best = {c, without};
    }
    if (best.ndcg < reached) break;
    reached = best.ndcg;
    choice.kept &= ~(std::uint64_t{1} << best.component);
    choice.dropped.push_back(best);
  }
  return choice;
}

}  // namespace swallowtail
