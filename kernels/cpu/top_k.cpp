#include "kernels/top_k.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cpu/top_k_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {

namespace cpu {

namespace {

std::int64_t greater_than(const float* scores, std::int64_t count, float threshold, std::int32_t* places) {
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < count; ++i)
    if (scores[i] > threshold) places[found++] = static_cast<std::int32_t>(i);
  return found;
}

}  // namespace

const TopKFamily& top_k_scalar() {
  static constexpr TopKFamily kFamily{greater_than};
  return kFamily;
}

}  // namespace cpu

namespace {

constexpr std::int64_t kBlock = 4096;  // scores between two looks at the threshold
constexpr float kNothing = -std::numeric_limits<float>::infinity();

struct Choice {
  float score;
  std::int64_t item;
};

bool is_better(const Choice& a, const Choice& b) { return a.score != b.score ? a.score > b.score : a.item < b.item; }

/// The best K so far: a heap whose front is the worst of them.
class Best {
 public:
  explicit Best(std::int64_t k) : k_(static_cast<std::size_t>(k)) {}
  void offer(const Choice& choice) {
    if (heap_.size() == k_) {
      if (!is_better(choice, heap_.front())) return;
      std::ranges::pop_heap(heap_, is_better);
      heap_.back() = choice;
    } else {
      heap_.push_back(choice);
    }
    std::ranges::push_heap(heap_, is_better);
  }
  bool is_full() const { return heap_.size() == k_; }
  float threshold() const { return heap_.front().score; }
  const std::vector<Choice>& sorted() {
    std::ranges::sort(heap_, is_better);
    return heap_;
  }

 private:
  std::size_t k_;
  std::vector<Choice> heap_;
};

}  // namespace

void top_k(const TopKOptions& options, const float* scores, std::span<std::int64_t> items,
           std::span<float> best_scores) {
  const auto& family = cpu::of_active_isa(cpu::top_k_scalar, cpu::top_k_avx2, cpu::top_k_avx512);
  if (options.k == 0) return;
#pragma omp parallel for schedule(static) if (options.users * options.items >= 65536)
  for (std::int64_t user = 0; user < options.users; ++user) {
    const float* const row = scores + user * options.items;
    std::vector<std::int64_t> excluded;
    if (!options.excluded.offsets.empty()) {
      const auto bag = options.excluded.values.subspan(
          static_cast<std::size_t>(options.excluded.offsets[user]),
          static_cast<std::size_t>(options.excluded.offsets[user + 1] - options.excluded.offsets[user]));
      excluded.assign(bag.begin(), bag.end());
      std::ranges::sort(excluded);
    }
    const auto may_be_chosen = [&](std::int64_t item) {
      return (options.candidates.empty() || options.candidates[item] != 0) &&
             !std::ranges::binary_search(excluded, item);
    };
    Best best(options.k);
    std::int32_t places[kBlock];
    for (std::int64_t first = 0; first < options.items; first += kBlock) {
      const std::int64_t count = std::min(kBlock, options.items - first);
      const auto offer = [&](std::int64_t item) {
        if (may_be_chosen(item)) best.offer({row[item], item});
      };
      if (!best.is_full()) {
        for (std::int64_t i = first; i < first + count; ++i)
          if (row[i] == row[i]) offer(i);
        continue;
      }
      // Items rise, so an equal score never displaces one that is there.
      const std::int64_t found = family.greater_than(row + first, count, best.threshold(), places);
      for (std::int64_t i = 0; i < found; ++i) offer(first + places[i]);
    }
    const std::vector<Choice>& chosen = best.sorted();
    for (std::int64_t place = 0; place < options.k; ++place) {
      const bool is_there = place < std::ssize(chosen);
      items[user * options.k + place] = is_there ? chosen[place].item : -1;
      if (!best_scores.empty()) best_scores[user * options.k + place] = is_there ? chosen[place].score : kNothing;
    }
  }
}

}  // namespace swallowtail
