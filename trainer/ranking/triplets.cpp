#include "trainer/ranking/triplets.h"

#include <algorithm>

#include "trainer/data/sample_order.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kForThreads = 512;  // samples from which threads pay
constexpr std::int64_t kGroup = 64;

}  // namespace

TripletDraw::TripletDraw(const Histories& train, const NegativeSampler& sampler, std::int64_t negatives,
                         std::uint64_t seed)
    : train_(train), sampler_(sampler), negatives_(negatives), seed_(seed) {
  user_of_.reserve(static_cast<std::size_t>(train.size()));
  for (std::int64_t user = 0; user < train.users(); ++user)
    user_of_.insert(user_of_.end(), static_cast<std::size_t>(train.count(user)), user);
}

void TripletDraw::draw(const RankerStep& step, std::int64_t begin, std::int64_t end, Triplets& out) const {
  const SampleOrder order(train_.size(), {}, seed_, step.epoch);
  const std::int64_t count = end - begin;
  for (auto* ids : {&out.users, &out.positives, &out.places}) ids->resize(static_cast<std::size_t>(count));
  out.negatives.resize(static_cast<std::size_t>(count * negatives_));
  // Samples lie anywhere in the data, so a draw is a chain of waits for memory: a group goes through it link by link.
  const std::int64_t groups = (count + kGroup - 1) / kGroup;
#pragma omp parallel for schedule(static) if (count >= kForThreads)
  for (std::int64_t group = 0; group < groups; ++group) {
    const std::int64_t first = group * kGroup, last = std::min(count, first + kGroup);
    for (std::int64_t place = first; place < last; ++place) {
      const std::int64_t sample = order(step.first + begin + place);
      __builtin_prefetch(&user_of_[sample]);
      __builtin_prefetch(&train_.items[sample]);
      out.places[place] = sample;
    }
    for (std::int64_t place = first; place < last; ++place) {
      const std::int64_t sample = out.places[place];
      out.users[place] = user_of_[sample];
      out.positives[place] = train_.items[sample];
      out.places[place] = place;
      sampler_.prefetch_bounds(out.users[place]);
    }
    for (std::int64_t place = first; place < last; ++place) sampler_.prefetch_items(out.users[place]);
    for (std::int64_t place = first; place < last; ++place)
      for (std::int64_t k = 0; k < negatives_; ++k)
        out.negatives[place * negatives_ + k] = sampler_.draw(out.users[place], step.step, begin + place, k);
  }
  std::int64_t kept = 0;
  for (std::int64_t place = 0; place < count; ++place) {
    if (out.negatives[place * negatives_] == kColdId) continue;
    if (kept != place) {
      out.users[kept] = out.users[place];
      out.positives[kept] = out.positives[place];
      out.places[kept] = place;
      std::copy_n(out.negatives.begin() + place * negatives_, negatives_, out.negatives.begin() + kept * negatives_);
    }
    ++kept;
  }
  for (auto* ids : {&out.users, &out.positives, &out.places}) ids->resize(static_cast<std::size_t>(kept));
  out.negatives.resize(static_cast<std::size_t>(kept * negatives_));
}

}  // namespace swallowtail
