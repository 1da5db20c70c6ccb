// Grouping the ids of a batch by row: the sort before every deduplicated update.
#include <omp.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/cpu/radix_sort.h"
#include "kernels/embedding.h"

namespace swallowtail {

namespace {

int bits_for(std::int64_t count) {
  return std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(count, 1)) - 1);
}

struct Places {
  const JaggedView& bags;
  Pooling pooling;
  std::span<const std::int64_t> bag_sizes;

  float bag_scale(std::int64_t bag) const {
    if (pooling != Pooling::mean) return 1.0F;
    const std::int64_t size = bag_sizes.empty() ? bags.offsets[bag + 1] - bags.offsets[bag] : bag_sizes[bag];
    return size > 0 ? 1.0F / static_cast<float>(size) : 1.0F;
  }
};

/// Rows and starts from sorted rows.
template <typename RowOf>
void find_groups(std::int64_t count, RowOf row_of, RowGroups& groups) {
  std::vector<std::int64_t> before(1, 0);  // [threads + 1] groups before a thread's stretch
#pragma omp parallel if (count >= static_cast <std::int64_t>(cpu::kElementsForThreads))
  {
    const std::int64_t threads = omp_get_num_threads(), thread = omp_get_thread_num();
    // Whole groups: a stretch begins where a row does.
    const auto first_from = [&](std::int64_t i) {
      while (i > 0 && i < count && row_of(i) == row_of(i - 1)) ++i;
      return i;
    };
    const std::int64_t begin = first_from(count * thread / threads), end = first_from(count * (thread + 1) / threads);
#pragma omp single
    before.assign(static_cast<std::size_t>(threads) + 1, 0);
    std::int64_t found = begin < end ? 1 : 0;
    for (std::int64_t i = begin + 1; i < end; ++i) found += row_of(i) != row_of(i - 1) ? 1 : 0;
    before[static_cast<std::size_t>(thread) + 1] = found;
#pragma omp barrier
#pragma omp single
    {
      for (std::int64_t t = 0; t < threads; ++t) before[t + 1] += before[t];
      groups.rows.resize(static_cast<std::size_t>(before.back()));
      groups.starts.resize(static_cast<std::size_t>(before.back()) + 1);
      groups.starts.front() = 0;
    }
    // Written for every id, and right after the last of its group: no branch waits for whether a row is new.
    std::int64_t* const rows = groups.rows.data() + before[thread];
    std::int64_t* const next_starts = groups.starts.data() + before[thread] + 1;
    std::int64_t group = 0, row = begin < end ? row_of(begin) : 0;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t next = row_of(std::min(i + 1, count - 1));
      rows[group] = row;
      next_starts[group] = i + 1;
      group += next != row ? 1 : 0;
      row = next;
    }
  }
}

/// Where row and place share 64 bits: half the bytes to move. `by_bag`: the place is the bag, else the id's position.
void group_short(const Places& places, std::int64_t table_rows, int place_bits, bool by_bag, RowGroups& groups) {
  const JaggedView& bags = places.bags;
  const std::int64_t first = bags.offsets[0], count = bags.offsets[bags.bags()] - first;
  const std::uint64_t mask = (std::uint64_t{1} << place_bits) - 1;
  thread_local std::vector<std::uint64_t> kept_keys, kept_scratch;
  thread_local std::vector<std::int64_t> kept_bags;
  auto &keys = kept_keys, &scratch = kept_scratch;  // of this thread, whichever thread of the region asks
  auto& bag_of = kept_bags;                         // by position, where a position does not give its bag away
  keys.resize(static_cast<std::size_t>(count));
  const bool needs_bags = !by_bag && places.pooling != Pooling::none;
  bag_of.resize(static_cast<std::size_t>(needs_bags ? count : 0));
  const bool is_parallel = count >= static_cast<std::int64_t>(cpu::kElementsForThreads);
#pragma omp parallel for schedule(static) if (is_parallel)
  for (std::int64_t bag = 0; bag < bags.bags(); ++bag)
    for (std::int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i) {
      const auto place = static_cast<std::uint64_t>(by_bag ? bag : i - first);
      keys[i - first] = static_cast<std::uint64_t>(bags.values[i]) << place_bits | place;
      if (needs_bags) bag_of[i - first] = bag;
    }
  cpu::radix_sort(keys, scratch, place_bits, place_bits + bits_for(table_rows), [](std::uint64_t key) { return key; });
  find_groups(
      count, [=, from = keys.data()](std::int64_t i) { return static_cast<std::int64_t>(from[i] >> place_bits); },
      groups);
  groups.items.resize(static_cast<std::size_t>(count));
#pragma omp parallel for schedule(static) if (is_parallel)
  for (std::int64_t i = 0; i < count; ++i) {
    const auto place = static_cast<std::int64_t>(keys[i] & mask);
    const std::int64_t bag = needs_bags ? bag_of[place] : place;
    const float scale = places.bag_scale(bag);
    groups.items[i] = {bag, bags.weights.empty() ? scale : scale * bags.weights[first + place]};
  }
}

/// Any number of rows and ids.
void group_long(const Places& places, std::int64_t table_rows, RowGroups& groups) {
  struct Entry {
    std::int64_t row;
    RowGroups::Item item;
  };
  const JaggedView& bags = places.bags;
  std::vector<Entry> entries, scratch;
  for (std::int64_t bag = 0; bag < bags.bags(); ++bag)
    for (std::int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i)
      entries.push_back({bags.values[i],
                         {places.pooling == Pooling::none ? i - bags.offsets[0] : bag,
                          bags.weights.empty() ? places.bag_scale(bag) : places.bag_scale(bag) * bags.weights[i]}});
  cpu::radix_sort(entries, scratch, 0, bits_for(table_rows),
                  [](const Entry& entry) { return static_cast<std::uint64_t>(entry.row); });
  find_groups(
      std::ssize(entries), [&](std::int64_t i) { return entries[i].row; }, groups);
  groups.items.resize(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) groups.items[i] = entries[i].item;
}

}  // namespace

void group_by_row(const JaggedView& bags, std::int64_t table_rows, Pooling pooling, RowGroups& groups,
                  std::span<const std::int64_t> bag_sizes) {
  const Places places{bags, pooling, bag_sizes};
  const std::int64_t count = bags.offsets[bags.bags()] - bags.offsets[0];
  // The sort keeps the order of the ids, so equal bags need no position among them.
  const bool by_bag = pooling != Pooling::none && bags.weights.empty();
  const int place_bits = std::max(1, bits_for(by_bag ? bags.bags() : count));
  if (place_bits + bits_for(table_rows) <= 64)
    group_short(places, table_rows, place_bits, by_bag, groups);
  else
    group_long(places, table_rows, groups);
}

void row_gradient(const RowGroups& groups, std::int64_t group, std::span<const float* const> bag_gradients,
                  std::int64_t dim, float* gradient) noexcept {
  std::memset(gradient, 0, static_cast<std::size_t>(dim) * sizeof(float));
  for (std::int64_t i = groups.starts[group]; i < groups.starts[group + 1]; ++i) {
    const float* from = bag_gradients[groups.items[i].bag];
    const float scale = groups.items[i].scale;
    for (std::int64_t d = 0; d < dim; ++d) gradient[d] += scale * from[d];
  }
}

}  // namespace swallowtail
