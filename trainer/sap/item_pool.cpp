#include "trainer/sap/item_pool.h"

#include <algorithm>
#include <cassert>
#include <map>

#include "parallel/error.h"

namespace swallowtail {
namespace {

/// What is known of an item while lists are merged.
struct Entry {
  std::int64_t item;
  std::uint64_t sources;
  std::vector<std::int32_t> ranks;  // [C]
  double fused;
};

/// Summed by rising rank, so that the order of components decides no bit.
double fuse(std::vector<std::int32_t> ranks, double constant) {
  std::ranges::sort(ranks);
  double sum = 0;
  for (const std::int32_t rank : ranks)
    if (rank > 0) sum += 1 / (constant + rank);
  return sum;
}

}  // namespace

ItemPool merge_proposals(const PoolInput& input, const PoolOptions& options, const std::string& user) {
  const std::size_t components = input.lists.size();
  assert(components <= kMostComponents);
  std::vector<std::int64_t> hidden(input.hidden.begin(), input.hidden.end());
  std::ranges::sort(hidden);
  const auto is_hidden = [&](std::int64_t item) { return std::ranges::binary_search(hidden, item); };

  std::map<std::int64_t, Entry> merged;
  for (std::size_t component = 0; component < components; ++component) {
    std::int32_t rank = 0;
    for (const std::int64_t item : input.lists[component]) {
      if (rank >= options.per_component) break;
      if (is_hidden(item)) continue;
      ++rank;
      Entry& entry =
          merged.try_emplace(item, Entry{item, 0, std::vector<std::int32_t>(components, 0), 0}).first->second;
      if (entry.ranks[component] > 0) continue;  // a list that names it twice: its better place counts
      entry.sources |= std::uint64_t{1} << component;
      entry.ranks[component] = rank;
    }
  }
  std::vector<Entry> kept;
  for (auto& [item, entry] : merged) {
    entry.fused = fuse(entry.ranks, options.rank_constant);
    kept.push_back(std::move(entry));
  }
  if (static_cast<std::int64_t>(kept.size()) > options.limit) {
    std::ranges::stable_sort(kept, std::greater<>(), &Entry::fused);  // items rose: ties keep the smaller
    kept.resize(static_cast<std::size_t>(options.limit));
    std::ranges::sort(kept, {}, &Entry::item);
  }
  const std::int64_t wanted = std::min(options.at_least, options.limit);
  for (const std::int64_t item : input.popular) {
    if (static_cast<std::int64_t>(kept.size()) >= wanted) break;
    const auto place = std::ranges::lower_bound(kept, item, {}, &Entry::item);
    if (is_hidden(item) || (place != kept.end() && place->item == item)) continue;
    kept.insert(place, Entry{item, kFilled, std::vector<std::int32_t>(components, 0), 0});
  }
  if (kept.empty())
    throw Error{ExitCode::data, "nothing is left to recommend: no component proposes an item that may be shown",
                "user " + user, "hide fewer items"};

  ItemPool pool;
  for (const Entry& entry : kept) {
    pool.items.push_back(entry.item);
    pool.sources.push_back(entry.sources);
  }
  for (std::size_t component = 0; component < components; ++component)
    for (const Entry& entry : kept) pool.ranks.push_back(entry.ranks[component]);
  pool.scores.assign(pool.ranks.size(), 0.0F);
  return pool;
}

}  // namespace swallowtail
