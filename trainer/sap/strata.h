// Strata: groups of users that are alike in what they touch, in what is known of them and in how much they touch.
// Found by k-means over one vector a user (user_vectors.h); users with too few interactions are never clustered: they
// are cold. The same bits on every rank and on any number of ranks. Source: SAP.md 2.1.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"
#include "trainer/data/interactions.h"
#include "trainer/ranking/ranker.h"
#include "trainer/sap/demographics.h"
#include "trainer/sap/user_vectors.h"

namespace swallowtail {

struct StrataOptions {
  std::optional<std::int64_t> count;  // none: by silhouette over 2 … most
  std::int64_t most = 8, restarts = 8, iterations = 100;
  UserVectorOptions vectors;
  std::int64_t cold_below = 5;     // training interactions
  std::int64_t smallest = 50;      // users of a stratum, or a tenth of the clustered ones where those are few
  double smallest_share = 0.02;    // the same, as a share of the clustered users; smaller strata join the nearest
  double least_silhouette = 0.05;  // below it there is one stratum
  std::uint64_t seed = 1;
};

/// From the keys sap.strata.*.
StrataOptions strata_options(const Experiment& experiment);

constexpr std::int32_t kColdStratum = -1;
constexpr std::int64_t kDenseFrom = 20;  // median interactions of a user from which a stratum is dense

/// What is known of one stratum beside its centroid.
struct StratumFacts {
  std::int64_t users = 0, interactions = 0;
  double median_interactions = 0;
  bool is_dense() const noexcept { return median_interactions >= static_cast<double>(kDenseFrom); }
};

/// Borrows the tables of the data that it is made of.
struct Strata {
  /// Room for the strata of these data: sizes depend on the data and the options alone, so that a checkpoint can be
  /// read back into it. No user has a stratum yet.
  Strata(const Interactions& data, const StrataOptions& options);

  std::int64_t count() const noexcept { return numbers[0]; }  // without the cold one
  /// Stratum of a user of the run, by falling size from 0; kColdStratum: cold, or kColdId.
  std::int32_t of(std::int64_t user) const {
    return user == kColdId ? kColdStratum : static_cast<std::int32_t>(of_user[user]);
  }
  /// Where a user belongs of whom its row in data.users is all that is known: the stratum whose centroid's demographic
  /// part is nearest; the largest one, 0, where nothing is known or for kColdId.
  std::int32_t place_by_demographics(std::int64_t user) const;
  /// of(user), by demographics where it is cold.
  std::int32_t nearest(std::int64_t user) const {
    return of(user) == kColdStratum ? place_by_demographics(user) : of(user);
  }
  StratumFacts facts(std::int32_t stratum, const Histories& train) const;  // kColdStratum: of the cold users
  /// "stratum 1" …, and "cold stratum" where it has users, for evaluation.
  std::vector<UserGroup> groups() const;
  static std::string name(std::int32_t stratum);

  /// What a checkpoint holds.
  std::vector<RankerState> state();

  Demographics demographics;              // of the clustered users
  std::int64_t dim = 0;                   // of the centroids
  std::int64_t demographic_first = 0;     // where the demographic part begins in them
  std::vector<float> demographic_scale;   // [width of the demographics] what that part is multiplied with
  std::vector<std::int64_t> clustered;    // users with enough interactions, rising
  std::vector<std::int64_t> numbers;      // [1] of strata
  std::vector<std::int64_t> of_user;      // [users]
  std::vector<float> centroids;           // [capacity, dim]; rows from count() on are zeros
  std::vector<std::int64_t> plane_users;  // a sample of the clustered users, rising
  std::vector<float> plane;               // [plane_users, 2] first principal axes of their vectors, for the report
  std::vector<float> quality;             // [2] mean silhouette of the sample; inertia of all
  std::vector<std::string> notes;         // what the user should know, such as that all users are alike
};

/// Collective. Statistics are those of users with training interactions alone; strata that cannot be told apart become
/// one, with a note.
Strata fit_strata(const Interactions& data, const StrataOptions& options, Communicator& ranks);

/// What sets a stratum apart, for people to read: "occupation student", 0.42 of its users against 0.21 of all.
struct StratumMark {
  std::string words;
  double here = 0, everywhere = 0;  // shares of users or interactions, or means of a number
  bool is_share = true;
};

/// Of each stratum, most telling first, at most `most` each: its users' columns, and the categories of the items that
/// they touch, of `item_column` (null: none).
std::vector<std::vector<StratumMark>> stratum_marks(const Strata& strata, const Interactions& data,
                                                    const SideColumn* item_column, std::size_t most);

}  // namespace swallowtail
