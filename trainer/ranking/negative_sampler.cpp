#include "trainer/ranking/negative_sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/random.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kMostTries = 50;
constexpr std::uint64_t kPurpose = random::purpose("negative");

}  // namespace

NegativeSampler::NegativeSampler(const Histories& train, std::int64_t items, double alpha, std::uint64_t seed)
    : items_(items), seed_(seed), offsets_(train.offsets), sorted_(train.items) {
  for (std::int64_t user = 0; user < train.users(); ++user)
    std::sort(sorted_.begin() + offsets_[user], sorted_.begin() + offsets_[user + 1]);
  if (alpha == 0) return;
  std::vector<double> weights;
  for (const std::int64_t count : item_counts(train, items))
    weights.push_back(count == 0 ? 0 : std::pow(static_cast<double>(count), alpha));
  table_.emplace(weights);
}

void NegativeSampler::prefetch_items(std::int64_t user) const {
  constexpr std::int64_t kLine = 8, kMostLines = 4;
  const std::int64_t begin = offsets_[user], end = offsets_[user + 1];
  if (end - begin <= kMostLines * kLine) {
    for (std::int64_t i = begin; i < end; i += kLine) __builtin_prefetch(&sorted_[i]);
  } else {  // where a binary search looks first
    for (std::int64_t quarter = 1; quarter < 4; ++quarter)
      __builtin_prefetch(&sorted_[begin + (end - begin) * quarter / 4]);
  }
}

bool NegativeSampler::is_positive(std::int64_t user, std::int64_t item) const {
  return std::binary_search(sorted_.begin() + offsets_[user], sorted_.begin() + offsets_[user + 1], item);
}

std::int64_t NegativeSampler::draw(std::int64_t user, std::int64_t step, std::int64_t sample, std::int64_t k) const {
  const std::uint64_t key =
      random::bits(seed_, kPurpose, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(sample));
  std::int64_t item = 0;
  for (std::int64_t attempt = 0; attempt < kMostTries; ++attempt) {
    const std::uint64_t bits = random::mix(key ^ random::mix(static_cast<std::uint64_t>(k * kMostTries + attempt)));
    item = table_ ? table_->draw(bits) : random::below(bits, items_);
    if (!is_positive(user, item)) return item;
  }
  for (std::int64_t tried = 1; tried < items_; ++tried) {
    item = item + 1 == items_ ? 0 : item + 1;
    if (!is_positive(user, item)) return item;
  }
  return kColdId;
}

double NegativeSampler::log_probability(std::int64_t item) const {
  return table_ ? std::log(table_->probability(item)) : -std::log(static_cast<double>(items_));
}

std::vector<float> log_frequency(const Histories& train, std::int64_t items) {
  std::vector<float> logs;
  for (const std::int64_t count : item_counts(train, items))
    logs.push_back(static_cast<float>(std::log(std::max(static_cast<double>(count), 0.5) /
                                               static_cast<double>(std::max<std::int64_t>(1, train.size())))));
  return logs;
}

}  // namespace swallowtail
