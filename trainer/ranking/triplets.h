// A step's training triplets: a user, an item that the user has, and items drawn against it.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/data/interactions.h"
#include "trainer/ranking/negative_sampler.h"
#include "trainer/ranking/ranker.h"

namespace swallowtail {

struct Triplets {
  std::vector<std::int64_t> users, positives;  // [n]
  std::vector<std::int64_t> negatives;         // [n, negatives a positive]
  std::vector<std::int64_t> places;            // [n] rising: the sample's place among those that were asked for
};

class TripletDraw {
 public:
  /// `train` and `sampler` outlive it.
  TripletDraw(const Histories& train, const NegativeSampler& sampler, std::int64_t negatives, std::uint64_t seed);

  /// The samples [begin, end) of the step's global batch; the same whatever the other ranks ask for. A user who has
  /// every item has no negative and is left out.
  void draw(const RankerStep& step, std::int64_t begin, std::int64_t end, Triplets& out) const;

 private:
  const Histories& train_;
  const NegativeSampler& sampler_;
  std::int64_t negatives_;
  std::uint64_t seed_;
  std::vector<std::int64_t> user_of_;  // [training interactions]
};

}  // namespace swallowtail
