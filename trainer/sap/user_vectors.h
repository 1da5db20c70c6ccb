// One vector a user for clustering: [a1 interactions | a2 demographics | a3 number of interactions], each block with
// mean 0 and total variance 1 among the users, times its weight.
// Interactions: a user's row of D_u^{-1/2} U S', the profile of correspondence analysis, S'^2 = S^2 - s_noise^2 with
// s_noise the first singular value that is left out. SAP.md 2.1 has rows of U S standardised by column, which gives
// columns of noise the weight of columns of taste: on two planted types of opposite taste k-means then finds none of
// them (ARI 0.00), with S' both (ARI 1.00).
// Demographics: a column, or category, counts as far as it goes with what users touch: times the square root of the
// share of the interaction block's variance that it explains beyond chance. Else a number that says nothing of taste,
// being standardised, outweighs the one category that does, and strata are groups of age with all tastes in them. The
// block weighs half, not 1: users whose row misleads (one in twenty in the planted data) then go where their taste is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/data/interactions.h"
#include "trainer/sap/demographics.h"

namespace swallowtail {

struct UserVectorOptions {
  std::int64_t rank = 16;
  double interaction_weight = 1, demographic_weight = 0.5, activity_weight = 0.5;
  std::uint64_t seed = 1;
};

/// Vectors of a block of `users`: those with numbers [first, last) in the list.
struct UserVectors {
  std::int64_t dim = 0, first = 0, last = 0;
  std::int64_t demographic_first = 0;    // the demographic block's place
  std::vector<float> rows;               // [last - first, dim]
  std::vector<float> demographic_scale;  // [width of the demographics] what its block is multiplied with
};

/// Width of the vectors, known before they are.
std::int64_t user_vector_dim(const Interactions& data, const UserVectorOptions& options,
                             const Demographics& demographics);

/// Collective; each rank gets its block of `users`, which have training interactions. Demographics are those of
/// `users`.
UserVectors user_vectors(const Interactions& data, std::span<const std::int64_t> users,
                         const Demographics& demographics, const UserVectorOptions& options, Communicator& ranks);

}  // namespace swallowtail
