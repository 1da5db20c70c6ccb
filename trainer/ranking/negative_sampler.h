// Negatives for training: items that a user has not touched in training. Every draw is a function of (seed, step,
// sample, k), so any rank draws the same. Dynamic hard negatives are the best scored of several draws: the model that
// scores takes them from here and chooses (Zhang et al., SIGIR 2013). In-batch negatives are the other samples'
// positives: they need no draw, but the correction by log_frequency().
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "trainer/config/experiment.h"
#include "trainer/data/interactions.h"
#include "trainer/ranking/alias_table.h"

namespace swallowtail {

class NegativeSampler {
 public:
  /// alpha 0: uniform over the catalogue; else in proportion to (interactions in training)^alpha, so that items without
  /// one are never drawn. `train` outlives the sampler. Errors: data where nothing could be drawn.
  NegativeSampler(const Histories& train, std::int64_t items, double alpha, std::uint64_t seed);

  /// An item that `user` has not in training: up to 50 draws are thrown away, then the next free item behind the last
  /// one is taken. kColdId where the user has every item. sample: place within the step's global batch.
  std::int64_t draw(std::int64_t user, std::int64_t step, std::int64_t sample, std::int64_t k) const;
  /// ln of the chance of one draw, before known positives are thrown away.
  double log_probability(std::int64_t item) const;
  bool is_positive(std::int64_t user, std::int64_t item) const;
  /// Brings a user's items into the caches, in two steps that each need what the one before has brought. Draws for many
  /// users of a large catalogue wait for memory without it.
  void prefetch_bounds(std::int64_t user) const { __builtin_prefetch(&offsets_[user]); }
  void prefetch_items(std::int64_t user) const;

 private:
  std::int64_t items_;
  std::uint64_t seed_;
  std::vector<std::int64_t> offsets_, sorted_;  // the users' items, rising
  std::optional<AliasTable> table_;
};

/// ln of each item's share of the training interactions: the q of in-batch negatives. Items without interaction get the
/// share of half an interaction, so that the correction stays finite.
std::vector<float> log_frequency(const Histories& train, std::int64_t items);

}  // namespace swallowtail
