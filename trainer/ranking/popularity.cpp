// Popularity: the score of an item is its number of training interactions, the same for every user. The floor that
// every other model must beat.
#include <algorithm>

#include "trainer/ranking/ranker.h"

namespace swallowtail {
namespace {

class Popularity final : public Ranker {
 public:
  explicit Popularity(const RankerInput& input)
      : data_(input.data), counts_(static_cast<std::size_t>(input.data.items.size()), 0.0F) {}

  void fit() override {
    const auto counts = item_counts(data_.train, data_.items.size());
    std::ranges::transform(counts, counts_.begin(), [](std::int64_t count) { return static_cast<float>(count); });
  }
  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    for (std::size_t q = 0; q < queries.size(); ++q)
      std::ranges::copy(counts_, scores.begin() + static_cast<std::ptrdiff_t>(q * counts_.size()));
  }
  bool knows(const RankingQuery&) const override { return true; }
  std::vector<RankerState> state() override {
    return {ranker_state("popularity/counts", {static_cast<std::int64_t>(counts_.size())}, counts_)};
  }
  std::int64_t parameters() const override { return static_cast<std::int64_t>(counts_.size()); }

 private:
  const Interactions& data_;
  std::vector<float> counts_;
};

}  // namespace

std::unique_ptr<Ranker> make_popularity(const RankerInput& input) { return std::make_unique<Popularity>(input); }

}  // namespace swallowtail
