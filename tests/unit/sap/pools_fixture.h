// Pools that are made by hand, for the tests of the stages that weigh and re-rank them.
#pragma once

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "kernels/random.h"
#include "trainer/sap/pooled.h"

namespace swallowtail::test {

inline constexpr std::int64_t kItems = 40;

/// 200 users whose taken item component 0 puts high, component 1 higher but independently, and component 2 anywhere.
inline PooledRows planted_pools(std::int64_t components, std::int64_t users = 200, double noise_of_first = 1,
                                std::uint64_t seed = 7) {
  PooledRows rows;
  rows.all = users;
  for (std::int64_t user = 0; user < users; ++user) {
    PooledRow row;
    row.user = user;
    row.stratum = static_cast<std::int32_t>(user % 2);
    row.wanted = 1;
    const auto taken = random::below(random::bits(1, 2, static_cast<std::uint64_t>(user)), kItems);
    row.relevant = {static_cast<std::int32_t>(taken)};
    for (std::int64_t item = 0; item < kItems; ++item) {
      row.pool.items.push_back(item);
      row.pool.sources.push_back(1);
    }
    for (std::int64_t c = 0; c < components; ++c)
      for (std::int64_t item = 0; item < kItems; ++item) {
        const double noise = random::normal(random::bits(
            seed, static_cast<std::uint64_t>(c), static_cast<std::uint64_t>(user), static_cast<std::uint64_t>(item)));
        const double signal = c == 2 ? 0 : item == taken ? 1.5 : 0;
        row.pool.scores.push_back(static_cast<float>(signal + (c == 0 ? noise_of_first : 1) * noise));
      }
    rows.rows.push_back(std::move(row));
  }
  return rows;
}

inline PooledRows of_rank(const PooledRows& all, Communicator& ranks) {
  PooledRows own;
  own.all = all.all;
  own.first = std::min(all.all, all.blocks() * ranks.rank() / ranks.world_size() * kPoolBlock);
  const std::int64_t end = std::min(all.all, all.blocks() * (ranks.rank() + 1) / ranks.world_size() * kPoolBlock);
  for (std::int64_t row = own.first; row < end; ++row) own.rows.push_back(all.rows[row]);
  return own;
}

inline Interactions some_data(std::int64_t users = 200) {
  Interactions data;
  std::vector<std::string> names;
  for (std::int64_t user = 0; user < users; ++user) {
    names.push_back(std::to_string(user));
    for (std::int64_t i = 0; i < 5; ++i) {
      data.train.items.push_back((user * 7 + i * 3) % kItems);
      data.train.ratings.push_back(1);
      data.train.times.push_back(static_cast<double>(i));
    }
    data.train.offsets.push_back(data.train.size());
  }
  data.users = IdList(names);
  names.clear();
  for (std::int64_t item = 0; item < kItems; ++item) names.push_back(std::to_string(item));
  data.items = IdList(names);
  return data;
}

/// Each stratum has one component that knows its users' taste, and one that knows nothing of it.
inline PooledRows of_two_methods(std::uint64_t seed) {
  PooledRows rows;
  rows.all = 400;
  for (std::int64_t user = 0; user < rows.all; ++user) {
    PooledRow& row = rows.rows.emplace_back();
    const auto key = static_cast<std::uint64_t>(user);
    row.user = user;
    row.stratum = static_cast<std::int32_t>(user % 2);
    row.wanted = 1;
    const auto taken = random::below(random::bits(seed, 1, key), kItems);
    row.relevant = {static_cast<std::int32_t>(taken)};
    row.pool.items.resize(kItems);
    std::iota(row.pool.items.begin(), row.pool.items.end(), std::int64_t{0});
    row.pool.sources.assign(kItems, 3);
    for (std::int64_t c = 0; c < 2; ++c)
      for (std::int64_t item = 0; item < kItems; ++item)
        row.pool.scores.push_back(
            static_cast<float>((c == user % 2 && item == taken ? 2 : 0) +
                               random::normal(random::bits(seed, 2 + static_cast<std::uint64_t>(c), key,
                                                           static_cast<std::uint64_t>(item)))));
  }
  return rows;
}

}  // namespace swallowtail::test
