#include <algorithm>
#include <cmath>
#include <limits>

#include "parallel/error.h"
#include "trainer/evaluation/ranked_lists.h"

namespace swallowtail {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

/// Keeps the best k of what it is shown, in a heap whose top is the worst of them.
class Best {
  bool before(std::int64_t a, std::int64_t b) const {
    return scores_[a] > scores_[b] || (scores_[a] == scores_[b] && a < b);
  }
  auto order() const {
    return [this](std::int64_t a, std::int64_t b) { return before(a, b); };
  }

 public:
  Best(std::span<const float> scores, std::int64_t k) : scores_(scores), k_(static_cast<std::size_t>(k)) {
    heap_.reserve(k_ + 1);
  }
  void show(std::int64_t item) {
    const float score = scores_[item];
    if (std::isnan(score))
      throw Error{ExitCode::numbers, "a score is not a number", "item " + std::to_string(item),
                  "lower the learning rates"};
    if (score == kForbidden || k_ == 0) return;
    if (heap_.size() == k_) {
      if (!before(item, heap_.front())) return;
      std::ranges::pop_heap(heap_, order());
      heap_.back() = item;
    } else {
      heap_.push_back(item);
    }
    std::ranges::push_heap(heap_, order());
  }
  std::vector<std::int64_t> take() {
    std::ranges::sort(heap_, order());
    return std::move(heap_);
  }

 private:
  std::span<const float> scores_;
  std::size_t k_;
  std::vector<std::int64_t> heap_;
};

}  // namespace

std::vector<std::int64_t> top_k(std::span<const float> scores, std::int64_t k) {
  Best best(scores, k);
  for (std::int64_t item = 0; item < static_cast<std::int64_t>(scores.size()); ++item) best.show(item);
  return best.take();
}

std::vector<std::int64_t> top_k(std::span<const float> scores, std::span<const std::int64_t> candidates,
                                std::int64_t k) {
  Best best(scores, k);
  for (const std::int64_t item : candidates) best.show(item);
  return best.take();
}

std::span<const std::int64_t> RankedLists::of(std::int64_t row) const {
  const auto list = std::span(items).subspan(static_cast<std::size_t>(row * k), static_cast<std::size_t>(k));
  return list.first(static_cast<std::size_t>(std::ranges::find(list, -1) - list.begin()));
}

}  // namespace swallowtail
