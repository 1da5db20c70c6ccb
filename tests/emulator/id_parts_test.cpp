#include "kernels/cuda/id_parts.h"

#include <algorithm>
#include <numeric>

#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

struct Bags {
  std::vector<std::int64_t> values, offsets{0};
  std::vector<float> weights;
};

Bags make_bags(std::uint64_t seed, std::int64_t bags, std::int64_t rows) {
  Bags made;
  for (std::int64_t bag = 0; bag < bags; ++bag) {
    const std::int64_t size = below(random::bits(seed, 1, static_cast<std::uint64_t>(bag)), 1, 7);
    for (std::int64_t i = 0; i < size; ++i) {
      const auto bits = random::bits(seed, 2, static_cast<std::uint64_t>(made.values.size()));
      made.values.push_back(random::below(bits, rows));
      made.weights.push_back(static_cast<float>(random::uniform(bits)));
    }
    made.offsets.push_back(std::ssize(made.values));
  }
  return made;
}

TEST(DealOut, SendsEveryIdToTheOwnerOfItsRow) {
  testing::for_seeds("ids to owners", [](std::uint64_t seed) {
    const std::int64_t rows = below(seed, 1, 3) == 0 ? (std::int64_t{1} << 31) + below(seed, 2, std::int64_t{1} << 40)
                                                     : 1 + below(seed, 2, 1000);
    std::int64_t factor = 1 + below(seed, 3, rows);
    while (std::gcd(factor, rows) != 1) factor = factor % rows + 1;
    std::vector<std::int64_t> first_rows{0};
    for (std::int64_t p = below(seed, 4, 6); p > 0; --p)
      first_rows.push_back(below(seed, 5 + static_cast<std::uint64_t>(p), rows));
    std::ranges::sort(first_rows);
    first_rows.erase(std::ranges::unique(first_rows).begin(), first_rows.end());
    const auto parts = std::ssize(first_rows);
    const std::int64_t bag_count = below(seed, 20, 5) == 0 ? 0 : below(seed, 21, 200);
    const Bags bags = make_bags(seed, bag_count, rows);

    Stream stream;
    const auto values = testing::on_device(bags.values, stream), offsets = testing::on_device(bags.offsets, stream);
    const auto firsts = testing::on_device(first_rows, stream);
    DealtIds dealt;
    deal_out({values.data(), offsets.data(), bag_count, std::ssize(bags.values)}, {rows, factor, parts, firsts.data()},
             dealt, stream);

    std::vector<std::vector<std::int64_t>> wanted_rows(first_rows.size()), wanted_places(first_rows.size());
    std::vector<unsigned> wanted_lengths(static_cast<std::size_t>(parts * bag_count), 0);
    for (std::int64_t bag = 0; bag < bag_count; ++bag)
      for (std::int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i) {
        const auto position =
            static_cast<std::int64_t>(static_cast<random::Uint128>(bags.values[i]) *
                                      static_cast<std::uint64_t>(factor) % static_cast<std::uint64_t>(rows));
        const auto part = std::ranges::upper_bound(first_rows, position) - first_rows.begin() - 1;
        wanted_rows[part].push_back(position - first_rows[part]);
        wanted_places[part].push_back(i);
        ++wanted_lengths[part * bag_count + bag];
      }
    const auto starts = testing::on_host(dealt.starts.data(), parts + 1, stream);
    const auto got_rows = testing::on_host(dealt.rows.data(), std::ssize(bags.values), stream);
    const auto got_places = testing::on_host(dealt.places.data(), std::ssize(bags.values), stream);
    EXPECT_EQ(testing::on_host(dealt.lengths.data(), parts * bag_count, stream), wanted_lengths) << "seed " << seed;
    EXPECT_EQ(starts.front(), 0) << "seed " << seed;
    EXPECT_EQ(starts.back(), std::ssize(bags.values)) << "seed " << seed;
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::vector<std::int64_t> its_rows(got_rows.begin() + starts[part], got_rows.begin() + starts[part + 1]);
      const std::vector<std::int64_t> its_places(got_places.begin() + starts[part],
                                                 got_places.begin() + starts[part + 1]);
      EXPECT_EQ(its_rows, wanted_rows[part]) << "seed " << seed << ", part " << part;
      EXPECT_EQ(its_places, wanted_places[part]) << "seed " << seed << ", part " << part;
    }
  });
}

TEST(PermuteBags, BringsBlocksIntoTheirOrder) {
  testing::for_seeds("permuted bags", [](std::uint64_t seed) {
    const std::int64_t count = 1 + below(seed, 1, 12), bags_each = below(seed, 2, 9);
    const Bags bags = make_bags(seed, count * bags_each, 50);
    std::vector<std::int64_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t k = count; k > 1; --k)
      std::swap(order[k - 1], order[below(seed, 10 + static_cast<std::uint64_t>(k), k)]);
    const bool weighted = below(seed, 3, 2) != 0;

    Bags wanted;
    for (const std::int64_t block : order)
      for (std::int64_t bag = block * bags_each; bag < (block + 1) * bags_each; ++bag) {
        for (std::int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i) {
          wanted.values.push_back(bags.values[i]);
          wanted.weights.push_back(bags.weights[i]);
        }
        wanted.offsets.push_back(std::ssize(wanted.values));
      }
    Stream stream;
    const auto values = testing::on_device(bags.values, stream), offsets = testing::on_device(bags.offsets, stream),
               order_there = testing::on_device(order, stream);
    const auto weights = testing::on_device(bags.weights, stream);
    PermutedBags got;
    const auto ids = std::ssize(bags.values);
    permute_bags({values.data(), offsets.data(), count * bags_each, ids}, weighted ? weights.data() : nullptr,
                 order_there.data(), count, got, stream);
    EXPECT_EQ(testing::on_host(got.offsets.data(), count * bags_each + 1, stream), wanted.offsets) << "seed " << seed;
    EXPECT_EQ(testing::on_host(got.values.data(), ids, stream), wanted.values) << "seed " << seed;
    if (weighted) {
      EXPECT_EQ(testing::on_host(got.weights.data(), ids, stream), wanted.weights) << "seed " << seed;
    }
  });
}

}  // namespace
}  // namespace swallowtail::cuda
