// ItemKNN: items are alike where the same users touch them, s(i, j) = n_ij / (sqrt(n_i n_j) + shrink), and the score of
// an item is the sum of its likeness to the items of the history that are among its k nearest (ties: smaller id).
// Source: Deshpande and Karypis, ACM TOIS 2004. The rows of the matrix are divided among the ranks, by item.
#include <algorithm>
#include <cmath>

#include "trainer/ranking/co_occurrence.h"
#include "trainer/ranking/ranker.h"

namespace swallowtail {
namespace {

constexpr std::size_t kMostReasons = 3;

class ItemKnn final : public Ranker {
 public:
  explicit ItemKnn(const RankerInput& input)
      : data_(input.data),
        ranks_(input.ranks),
        items_(input.data.items.size()),
        k_(std::min(input.experiment.integer("model.neighbors"), std::max<std::int64_t>(1, items_ - 1))),
        shrink_(input.experiment.number("model.shrink")),
        neighbors_(static_cast<std::size_t>(items_ * k_), 0),
        likeness_(neighbors_.size(), 0.0F) {}

  void fit() override {
    const CoOccurrence together(data_.train, items_);
    const auto users = together.users();
    const std::int64_t first = items_ * ranks_.rank() / ranks_.world_size();
    const std::int64_t last = items_ * (ranks_.rank() + 1) / ranks_.world_size();
    std::ranges::fill(neighbors_, 0);
    std::ranges::fill(likeness_, 0.0F);
    std::vector<std::pair<float, std::int64_t>> row;
    together.for_each_row(first, last, [&](std::int64_t item, auto others, auto counts) {
      row.clear();
      for (const std::int64_t other : others) {
        const double norm = std::sqrt(static_cast<double>(users[item]) * static_cast<double>(users[other]));
        row.emplace_back(-static_cast<float>(static_cast<double>(counts[other]) / (norm + shrink_)), other);
      }
      const auto kept = std::min(static_cast<std::int64_t>(row.size()), k_);
      std::partial_sort(row.begin(), row.begin() + kept, row.end());
      for (std::int64_t n = 0; n < kept; ++n) {
        neighbors_[item * k_ + n] = row[n].second;
        likeness_[item * k_ + n] = -row[n].first;
      }
    });
    // Every other rank holds zeros in these places: the sums only copy.
    ranks_.all_reduce_sum(Tag{"nearest items"}, std::span(neighbors_));
    ranks_.all_reduce_sum(Tag{"likeness of items"}, std::span(likeness_));
  }

  void prepare_scores() override {
    offsets_.assign(static_cast<std::size_t>(items_) + 1, 0);
    for (std::size_t n = 0; n < neighbors_.size(); ++n)
      if (likeness_[n] > 0) ++offsets_[neighbors_[n] + 1];
    for (std::int64_t item = 0; item < items_; ++item) offsets_[item + 1] += offsets_[item];
    near_.resize(static_cast<std::size_t>(offsets_.back()));
    auto place = offsets_;
    for (std::int64_t item = 0; item < items_; ++item)
      for (std::int64_t n = item * k_; n < (item + 1) * k_; ++n)
        if (likeness_[n] > 0) near_[place[neighbors_[n]]++] = {item, likeness_[n]};
  }

  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    std::ranges::fill(scores, 0.0F);
    for (std::size_t q = 0; q < queries.size(); ++q) {
      float* const row = scores.data() + static_cast<std::int64_t>(q) * items_;
      for (const std::int64_t seen : distinct_items(queries[q].history))
        for (std::int64_t n = offsets_[seen]; n < offsets_[seen + 1]; ++n) row[near_[n].item] += near_[n].likeness;
    }
  }

  bool knows(const RankingQuery& query) const override { return !query.history.empty(); }

  std::vector<Reason> reasons(const RankingQuery& query, std::int64_t item) const override {
    std::vector<Reason> found;
    for (const std::int64_t seen : distinct_items(query.history))
      for (std::int64_t n = item * k_; n < (item + 1) * k_; ++n)
        if (neighbors_[n] == seen && likeness_[n] > 0) found.push_back({seen, likeness_[n]});
    std::ranges::stable_sort(found, std::greater<>(), &Reason::share);
    found.resize(std::min(found.size(), kMostReasons));
    return found;
  }

  std::vector<RankerState> state() override {
    return {ranker_state("item_knn/neighbors", {items_, k_}, neighbors_),
            ranker_state("item_knn/likeness", {items_, k_}, likeness_)};
  }
  std::int64_t parameters() const override { return items_ * k_; }

 private:
  struct Near {
    std::int64_t item;
    float likeness;
  };
  const Interactions& data_;
  Communicator& ranks_;
  std::int64_t items_, k_;
  double shrink_;
  std::vector<std::int64_t> neighbors_;  // [items, k], nearest first
  std::vector<float> likeness_;          // [items, k]; 0 where an item has fewer neighbours
  std::vector<std::int64_t> offsets_;    // [items + 1] into near_: the items that have this one among their nearest
  std::vector<Near> near_;
};

}  // namespace

std::unique_ptr<Ranker> make_item_knn(const RankerInput& input) { return std::make_unique<ItemKnn>(input); }

}  // namespace swallowtail
