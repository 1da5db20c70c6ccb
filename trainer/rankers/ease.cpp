#include "trainer/rankers/ease.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "trainer/ranking/co_occurrence.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kMostItems = 60000;  // 8 bytes a weight while it is solved: 29 GB
constexpr std::size_t kMostReasons = 3;

/// The solver on one thread: on several its bits may go by their number.
class OneThread {
 public:
  OneThread() : before_(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }

 private:
  int before_;
};

class Ease final : public Ranker {
 public:
  explicit Ease(const RankerInput& input)
      : data_(input.data),
        ranks_(input.ranks),
        items_(input.data.items.size()),
        regularization_(input.experiment.number("model.regularization")) {
    if (items_ > kMostItems)
      throw input.experiment.error("model.type",
                                   fmt::format("ease keeps a weight for every two of the {} items", items_),
                                   fmt::format("take at most {} items (data.min_item_count), or item_knn", kMostItems));
    weights_.assign(static_cast<std::size_t>(items_ * items_), 0.0F);
  }

  void fit() override {
    if (ranks_.rank() == 0) solve();
    ranks_.broadcast(Tag{"weights of ease"}, 0, std::as_writable_bytes(std::span(weights_)));
  }

  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    std::ranges::fill(scores, 0.0F);
#pragma omp parallel for schedule(dynamic)
    for (std::size_t q = 0; q < queries.size(); ++q) {
      float* const row = scores.data() + static_cast<std::int64_t>(q) * items_;
      for (const std::int64_t seen : distinct_items(queries[q].history)) {
        const float* const from = weights_.data() + seen * items_;
        for (std::int64_t item = 0; item < items_; ++item) row[item] += from[item];
      }
    }
  }

  bool knows(const RankingQuery& query) const override { return !query.history.empty(); }

  std::vector<Reason> reasons(const RankingQuery& query, std::int64_t item) const override {
    std::vector<Reason> found;
    for (const std::int64_t seen : distinct_items(query.history))
      if (const float weight = weights_[seen * items_ + item]; weight > 0) found.push_back({seen, weight});
    std::ranges::stable_sort(found, std::greater<>(), &Reason::share);
    found.resize(std::min(found.size(), kMostReasons));
    return found;
  }

  std::vector<RankerState> state() override { return {ranker_state("ease/weights", {items_, items_}, weights_)}; }
  std::int64_t parameters() const override { return items_ * (items_ - 1); }

 private:
  void solve() {
    const torch::NoGradGuard no_grad;
    const OneThread one_thread;
    torch::Tensor gram = torch::zeros({items_, items_}, torch::kFloat64);
    auto* const cells = gram.data_ptr<double>();
    const CoOccurrence together(data_.train, items_);
    together.for_each_row(0, items_, [&](std::int64_t item, auto others, auto counts) {
      cells[item * items_ + item] = static_cast<double>(together.users()[item]) + regularization_;
      for (const std::int64_t other : others) cells[item * items_ + other] = static_cast<double>(counts[other]);
    });
    const torch::Tensor inverse = torch::cholesky_inverse(torch::linalg_cholesky(gram));
    torch::Tensor weights = -inverse / inverse.diagonal().unsqueeze(0);
    weights.fill_diagonal_(0);
    const torch::Tensor rounded = weights.to(torch::kFloat32).contiguous();
    std::copy_n(rounded.data_ptr<float>(), weights_.size(), weights_.begin());
  }

  const Interactions& data_;
  Communicator& ranks_;
  std::int64_t items_;
  double regularization_;
  std::vector<float> weights_;  // [items of the history, items]
};

}  // namespace

std::unique_ptr<Ranker> make_ease(const RankerInput& input) { return std::make_unique<Ease>(input); }

}  // namespace swallowtail
