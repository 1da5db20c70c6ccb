#include "kernels/cuda/row_cache.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <set>

#include "kernels/cuda/embedding.h"
#include "kernels/cuda/page_lock.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

/// One set on the host.
struct HostSet {
  explicit HostSet(int ways) : rows(ways, kNoRow), last_use(ways, kNoRow), uses(ways, 0), is_changed(ways, 0) {}
  CacheSet view() {
    return {rows.data(), last_use.data(), uses.data(), is_changed.data(), static_cast<int>(rows.size())};
  }
  std::vector<std::int64_t> rows, last_use;
  std::vector<std::uint32_t> uses;
  std::vector<std::uint8_t> is_changed;
};

TEST(CacheSets, LetTheRowGoThatTheirRuleNames) {
  HostSet set(3);
  const CacheSet view = set.view();
  for (const std::int64_t row : {10, 11, 12})
    EXPECT_EQ(replace(view, victim_of(view, Eviction::least_recent, 0), row, row, true), kNoRow);
  for (int n = 0; n < 3; ++n) touch(view, way_of(view, 10), 13, false);
  touch(view, way_of(view, 11), 14, false);
  // 10: step 13, 4 uses; 11: step 14, 2 uses; 12: step 12, 1 use
  EXPECT_EQ(set.rows[static_cast<std::size_t>(victim_of(view, Eviction::least_recent, 20))], 12);
  touch(view, way_of(view, 12), 15, false);
  EXPECT_EQ(set.rows[static_cast<std::size_t>(victim_of(view, Eviction::least_recent, 20))], 10);
  EXPECT_EQ(set.rows[static_cast<std::size_t>(victim_of(view, Eviction::least_frequent, 20))], 11);  // 2 uses, earlier
  EXPECT_EQ(set.rows[static_cast<std::size_t>(victim_of(view, Eviction::least_recent, 14))], 10);    // 14, 15 in use
  EXPECT_EQ(victim_of(view, Eviction::least_recent, 13), -1);
  EXPECT_EQ(replace(view, way_of(view, 11), 99, 16, false), 11) << "a changed row is written back";
  EXPECT_EQ(replace(view, way_of(view, 99), 98, 17, false), kNoRow) << "an unchanged one is not";
}

TEST(CacheSets, KeepEveryRowOfTheBatchesInUse) {
  testing::for_seeds("rows in use stay", [](std::uint64_t seed) {
    const int ways = 1 + static_cast<int>(below(seed, 1, 8));
    const auto eviction = static_cast<Eviction>(below(seed, 2, 2));
    HostSet set(ways);
    const CacheSet view = set.view();
    std::map<std::int64_t, std::int64_t> wanted;  // row -> its last step
    std::set<std::int64_t> changed;
    for (std::int64_t step = 0; step < 60; ++step) {
      const std::int64_t oldest = std::max<std::int64_t>(0, step - below(seed, 3, 3));
      const std::int64_t row = below(random::bits(seed, 4, static_cast<std::uint64_t>(step)), 1, 14);
      const bool changes = below(random::bits(seed, 5, static_cast<std::uint64_t>(step)), 1, 2) != 0;
      int way = way_of(view, row);
      if (way >= 0) {
        touch(view, way, step, changes);
      } else {
        way = victim_of(view, eviction, oldest);
        const auto in_use = std::ranges::count_if(set.last_use, [&](std::int64_t use) { return use >= oldest; });
        EXPECT_EQ(way < 0, in_use == ways);
        if (way < 0) continue;
        const std::int64_t before = set.rows[static_cast<std::size_t>(way)];
        EXPECT_TRUE(before == kNoRow || wanted.at(before) < oldest);
        EXPECT_EQ(replace(view, way, row, step, changes), changed.contains(before) ? before : kNoRow);
        changed.erase(before);
      }
      if (changes) changed.insert(row);
      wanted[row] = step;
      EXPECT_EQ(way_of(view, row), way);
    }
  });
}

struct Case {
  std::int64_t rows, dim, steps;
  RowCacheOptions options;
  std::vector<std::vector<std::int64_t>> batches;
  std::vector<float> table, state;
};

Case make_case(std::uint64_t seed) {
  Case made;
  made.rows = 1 + below(seed, 1, 400);
  made.dim = std::vector<std::int64_t>{1, 4, 7, 16}[static_cast<std::size_t>(below(seed, 2, 4))];
  made.steps = 1 + below(seed, 3, 8);
  made.options = {1 + below(seed, 4, 12), 1 + static_cast<int>(below(seed, 5, 24)),
                  static_cast<Eviction>(below(seed, 6, 2))};
  for (std::int64_t step = 0; step < made.steps; ++step) {
    const auto key = random::bits(seed, 7, static_cast<std::uint64_t>(step));
    std::vector<std::int64_t> ids;
    for (std::int64_t i = below(key, 1, 50); i > 0; --i) {
      const double u = random::uniform(random::bits(key, 2, static_cast<std::uint64_t>(i)));
      ids.push_back(static_cast<std::int64_t>(static_cast<double>(made.rows) * u * u * u));  // low rows are popular
    }
    made.batches.push_back(std::move(ids));
  }
  made.table = testing::values(seed, 8, made.rows * made.dim);
  made.state = testing::values(seed, 9, made.rows * made.dim);
  for (float& value : made.state) value = std::abs(value);
  return made;
}

/// One bag an id, Adagrad: every id's row takes the gradient of its bag.
void train(unsigned char* rows, unsigned char* state, std::int64_t row_count, std::int64_t dim, const std::int64_t* ids,
           std::int64_t count, std::int64_t step, BackwardScratch& scratch, Stream& stream,
           std::vector<float>* pooled) {
  DeviceTable table;
  table.rows = rows;
  table.state = reinterpret_cast<float*>(state);
  table.row_count = row_count;
  table.dim = static_cast<std::int32_t>(dim);
  const DeviceTables tables(std::span(&table, 1), true, stream);
  std::vector<std::int64_t> offsets;
  for (std::int64_t i = 0; i <= count; ++i) offsets.push_back(i);
  const auto offsets_there = testing::on_device(offsets, stream);
  const auto gradient = testing::on_device(testing::values(77, static_cast<std::uint64_t>(step), count * dim), stream);
  const DeviceBags bags{ids, offsets_there.data(), nullptr, count, count};
  DeviceBuffer<float> out(count * dim);
  pooled_lookup_forward(tables, bags, out.data(), stream);
  *pooled = testing::on_host(out, stream);
  OptimizerStep how;
  how.kind = Optimizer::adagrad;
  how.learning_rate = 0.1F;
  how.epsilon = 1e-10F;
  how.step = step + 1;
  DeviceBuffer<unsigned long long> bad(1);
  pooled_lookup_backward(tables, bags, gradient.data(), {.step = how}, scratch, bad.data(), stream);
}

TEST(RowCache, TrainsWithTheBitsOfAPlainTable) {
  testing::for_seeds("cached table equals the plain one", [](std::uint64_t seed) {
    const Case made = make_case(seed);
    Stream stream;
    const auto plain = testing::on_device(made.table, stream), plain_state = testing::on_device(made.state, stream);
    // Page-locked memory of both kinds; the vectors' may share pages.
    PinnedBuffer<float> pinned(made.rows * made.dim);
    std::vector<float> locked(made.table), host_state(made.state);
    const std::vector<std::span<std::byte>> ranges{std::as_writable_bytes(std::span(host_state)),
                                                   std::as_writable_bytes(std::span(locked))};
    const PageLock lock(ranges);
    const std::span<float> host = seed % 2 == 0 ? std::span(locked) : std::span(pinned.data(), locked.size());
    std::ranges::copy(made.table, host.begin());
    const auto bytes_of = [](float* values) { return reinterpret_cast<unsigned char*>(values); };
    const std::int64_t row_bytes = made.dim * static_cast<std::int64_t>(sizeof(float));
    const std::vector<CachedArray> arrays{{bytes_of(host.data()), row_bytes}, {bytes_of(host_state.data()), row_bytes}};
    RowCache cache(made.rows, arrays, made.options, stream);
    PinnedBuffer<RowCacheCounts> counts(1);

    std::vector<DeviceBuffer<std::int64_t>> ids;
    for (const auto& batch : made.batches) ids.push_back(testing::on_device(batch, stream));
    const auto prefetch = [&](std::int64_t step, std::int64_t oldest) {
      const auto at = static_cast<std::size_t>(step);
      cache.prefetch({ids[at].data(), ids[at].size(), step, oldest, true}, stream);
      cache.fetch_counts(counts.data(), stream);
      stream.wait();
      return counts.data()->homeless == 0;
    };
    BackwardScratch scratch;
    bool is_there = prefetch(0, 0);
    for (std::int64_t step = 0; step < made.steps; ++step) {
      // A batch that does not fit as a whole cannot be trained; the caller is told, and nothing is lost.
      const bool can_train = is_there || prefetch(step, step);
      // The next batch comes before this one is trained, as on two streams; where it finds no room, after it.
      is_there = step + 1 < made.steps && prefetch(step + 1, step);
      if (!can_train) continue;
      const auto& batch = ids[static_cast<std::size_t>(step)];
      DeviceBuffer<std::int64_t> slots(batch.size());
      cache.find(batch.data(), batch.size(), slots.data(), stream);
      if (batch.size() > 0) {
        EXPECT_EQ(cache.row_in(testing::on_host(slots, stream).back(), stream),
                  made.batches[static_cast<std::size_t>(step)].back());
      }
      std::vector<float> cached_out, plain_out;
      train(cache.on_device(0), cache.on_device(1), cache.slots(), made.dim, slots.data(), batch.size(), step, scratch,
            stream, &cached_out);
      train(bytes_of(plain.data()), bytes_of(plain_state.data()), made.rows, made.dim, batch.data(), batch.size(), step,
            scratch, stream, &plain_out);
      EXPECT_TRUE(testing::same_bits(plain_out, cached_out)) << "seed " << seed << ", step " << step;
    }
    cache.flush(stream);
    stream.wait();
    const auto wanted = testing::on_host(plain, stream), wanted_state = testing::on_host(plain_state, stream);
    EXPECT_TRUE(testing::same_bits(wanted, host)) << "seed " << seed;
    EXPECT_TRUE(testing::same_bits(wanted_state, host_state)) << "seed " << seed;
  });
}

TEST(RowCache, StartsAgainFromOtherArrays) {
  Stream stream;
  constexpr std::int64_t kRows = 40;
  PinnedBuffer<float> first(kRows), second(kRows);
  for (std::int64_t row = 0; row < kRows; ++row) {
    first.data()[row] = static_cast<float>(row);
    second.data()[row] = static_cast<float>(100 + row);
  }
  const auto bytes_of = [](PinnedBuffer<float>& of) { return reinterpret_cast<unsigned char*>(of.data()); };
  const std::vector<CachedArray> arrays{{bytes_of(first), 4}};
  RowCache cache(kRows, arrays, {4, 4, Eviction::least_recent}, stream);
  const auto ids = testing::on_device(std::vector<std::int64_t>{3, 17, 3, 30}, stream);
  DeviceBuffer<std::int64_t> slots(ids.size());
  const auto prefetch = [&] {
    cache.prefetch({ids.data(), ids.size(), 1, 1, true}, stream);
    cache.find(ids.data(), ids.size(), slots.data(), stream);
    return testing::on_host(slots, stream);
  };
  const auto lines = reinterpret_cast<const float*>(cache.on_device(0));
  const std::int64_t slot = prefetch()[1];
  EXPECT_EQ(testing::on_host(lines + slot, 1, stream)[0], 17);
  zero(cache.on_device(0), cache.slots() * 4, stream);  // a step that changes all lines

  const std::vector<unsigned char*> other{bytes_of(second)};
  cache.restart(other, stream);
  cache.flush(stream);
  EXPECT_EQ(cache.row_in(slot, stream), kNoRow);
  EXPECT_EQ(testing::on_host(lines + prefetch()[1], 1, stream)[0], 117);
  cache.flush(stream);
  stream.wait();
  for (std::int64_t row = 0; row < kRows; ++row) {  // nothing was written back to either
    EXPECT_EQ(first.data()[row], static_cast<float>(row));
    EXPECT_EQ(second.data()[row], static_cast<float>(100 + row));
  }
}

/// Row k (from 0) with a chance of about (k + 1)^-zipf among 0 … rows - 1, continuous.
std::int64_t zipf_row(std::uint64_t bits, std::int64_t rows, double zipf) {
  const double u = random::uniform(bits), power = 1 - zipf, most = std::pow(static_cast<double>(rows + 1), power);
  return std::min(rows - 1, static_cast<std::int64_t>(std::pow(1 + u * (most - 1), 1 / power)) - 1);
}

TEST(RowCache, HoldsTheRowsThatZipfWantsMost) {
  constexpr std::int64_t kRows = 100'000, kBatch = 512, kSteps = 40;
  constexpr double kZipf = 1.05;
  const auto hit_rate = [&](Eviction eviction) {
    Stream stream;
    PinnedBuffer<float> host(kRows);
    std::fill_n(host.data(), kRows, 0.0F);
    const std::vector<CachedArray> arrays{{reinterpret_cast<unsigned char*>(host.data()), 4}};
    RowCache cache(kRows, arrays, {256, 16, eviction}, stream);  // 4 % of the rows
    RowCacheCounts warm;
    for (std::int64_t step = 0; step < kSteps; ++step) {
      std::vector<std::int64_t> ids;
      for (std::int64_t i = 0; i < kBatch; ++i)
        ids.push_back(
            zipf_row(random::bits(3, static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(i)), kRows, kZipf));
      const auto there = testing::on_device(ids, stream);
      cache.prefetch({there.data(), kBatch, step, step, true}, stream);
      if (step == kSteps / 2) warm = cache.counts(stream);
    }
    const RowCacheCounts all = cache.counts(stream);
    EXPECT_EQ(all.homeless, 0u);
    const double hits = static_cast<double>(all.hits - warm.hits),
                 misses = static_cast<double>(all.misses - warm.misses);
    return hits / (hits + misses);
  };
  // Of distinct rows a batch, so the hottest rows count once: a cache without any memory of the past would have 0.
  const double recent = hit_rate(Eviction::least_recent), frequent = hit_rate(Eviction::least_frequent);
  std::printf("hit rate: least recent %.3f, least frequent %.3f\n", recent, frequent);
  EXPECT_GT(recent, 0.4);
  EXPECT_GT(frequent, 0.4);
}

TEST(RowCache, RefusesWhatIsNoCache) {
  Stream stream;
  EXPECT_THROW(RowCache(10, {}, {0, 4, Eviction::least_recent}, stream), Failure);
  const std::vector<CachedArray> odd{{nullptr, 6}};
  EXPECT_THROW(RowCache(10, odd, {1, 4, Eviction::least_recent}, stream), Failure);
}

}  // namespace
}  // namespace swallowtail::cuda
