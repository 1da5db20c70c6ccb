// The intermediate item pool: what several components propose for one user, each item once, with who proposed it and at
// which place. Source: SAP.md 2.6; the limit by reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace swallowtail {

struct PoolOptions {
  std::int64_t per_component = 200;  // of each list, at most
  std::int64_t limit = 500;          // items of the pool
  std::int64_t at_least = 10;        // filled up to this many from `popular`
  double rank_constant = 60;         // of the fusion: sum over components of 1 / (rank_constant + rank)
};

/// Bit of an item that no component proposed.
constexpr std::uint64_t kFilled = std::uint64_t{1} << 63;
constexpr std::size_t kMostComponents = 63;

/// P items for one user, by rising number. Components in the caller's order.
struct ItemPool {
  std::vector<std::int64_t> items;     // [P] distinct, rising
  std::vector<std::uint64_t> sources;  // [P] bit c: component c proposed it, or kFilled; never 0
  std::vector<std::int32_t> ranks;     // [C, P] place in the component's list, from 1; 0: not in it
  std::vector<float> scores;           // [C, P] zeros: the caller lets every component score every item
  std::int64_t size() const noexcept { return static_cast<std::int64_t>(items.size()); }
};

struct PoolInput {
  std::vector<std::span<const std::int64_t>> lists;  // one a component, best first
  std::span<const std::int64_t> hidden;              // seen or forbidden, in any order: never enter
  std::span<const std::int64_t> popular;             // of the user's stratum, most popular first
};

/// The same pool for every order of the components (bits and rows of ranks go with them).
/// Errors: data, naming `user`, where nothing is left to recommend.
ItemPool merge_proposals(const PoolInput& input, const PoolOptions& options, const std::string& user);

}  // namespace swallowtail
