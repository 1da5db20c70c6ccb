#include "kernels/auc.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "kernels/cpu/radix_sort.h"
#include "kernels/random.h"

namespace swallowtail {

namespace {

// Below this a second core loses more by fetching what the first one wrote than it gains: on two cores of Zen 3, 1M
// scores take 14 ms with one thread and 22 to 28 with two.
constexpr std::size_t kScoresForThreads = std::size_t{1} << 23;
constexpr int kFloatKeyBits = 32, kDoubleKeyBits = 64;
constexpr int kSortedBits = 33;  // of a long key by digits; what still ties, which is little, by comparison

/// Won pairs over all pairs of keys in rising order.
template <typename Key>
std::optional<double> area(const std::vector<Key>& keys) {
  random::Uint128 won_twice = 0;
  std::uint64_t positives = 0, negatives = 0;  // so far, so below
  for (std::size_t i = 0; i < keys.size();) {
    const Key score = keys[i] >> 1;
    std::uint64_t of_group = 0, first = i;
    for (; i < keys.size() && keys[i] >> 1 == score; ++i) of_group += keys[i] & 1;
    const std::uint64_t others = i - first - of_group;
    won_twice += static_cast<random::Uint128>(of_group) * (2 * negatives + others);
    positives += of_group;
    negatives += others;
  }
  if (positives == 0 || negatives == 0) return {};
  return static_cast<double>(won_twice) / 2 / (static_cast<double>(positives) * static_cast<double>(negatives));
}

/// Keys that agree in their sorted upper bits come into order.
void sort_ties(std::vector<std::uint64_t>& keys) {
  constexpr int kLow = kDoubleKeyBits - kSortedBits;
  for (std::size_t i = 0; i < keys.size();) {
    std::size_t end = i + 1;
    while (end < keys.size() && keys[end] >> kLow == keys[i] >> kLow) ++end;
    if (end - i > 1)
      std::sort(keys.begin() + static_cast<std::ptrdiff_t>(i), keys.begin() + static_cast<std::ptrdiff_t>(end));
    i = end;
  }
}

}  // namespace

std::optional<double> exact_auc(std::span<const double> scores, std::span<const float> labels) {
  const auto size = static_cast<std::int64_t>(scores.size());
  const bool is_parallel = scores.size() >= kScoresForThreads;
  // Kept from call to call: new pages cost as much as the sort. The threads of a region ask for the caller's.
  thread_local std::vector<std::uint32_t> kept_keys, kept_scratch;
  auto &keys = kept_keys, &scratch = kept_scratch;
  keys.resize(scores.size());
  std::uint32_t inexact = 0, negative = 0;  // sums of bits, which the compiler widens where it would not and-ed truths
#pragma omp parallel for schedule(static) reduction(| : inexact, negative) if (is_parallel)
  for (std::int64_t i = 0; i < size; ++i) {
    const double score = scores[i] + 0.0;  // -0 and 0 are equal scores
    const auto narrow = static_cast<float>(score);
    inexact |= static_cast<std::uint32_t>(static_cast<double>(narrow) != score);
    negative |= static_cast<std::uint32_t>(score < 0);
    keys[i] = std::bit_cast<std::uint32_t>(narrow) << 1 | static_cast<std::uint32_t>(labels[i] > 0.5F);
  }
  if (negative != 0) return {};
  if (inexact == 0) {
    cpu::radix_sort(
        keys, scratch, 0, kFloatKeyBits, [](std::uint32_t key) { return key; }, kScoresForThreads);
    return area(keys);
  }
  std::vector<std::uint64_t> long_keys(scores.size()), long_scratch;
#pragma omp parallel for schedule(static) if (is_parallel)
  for (std::int64_t i = 0; i < size; ++i)
    long_keys[i] = std::bit_cast<std::uint64_t>(scores[i] + 0.0) << 1 | static_cast<std::uint64_t>(labels[i] > 0.5F);
  cpu::radix_sort(
      long_keys, long_scratch, kDoubleKeyBits - kSortedBits, kDoubleKeyBits, [](std::uint64_t key) { return key; },
      kScoresForThreads);
  sort_ties(long_keys);
  return area(long_keys);
}

}  // namespace swallowtail
