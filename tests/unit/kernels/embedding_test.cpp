#include "kernels/embedding.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "kernels/random.h"

namespace swallowtail {
namespace {

const std::vector<float> kTable{1, 2, 10, 20, 100, 200};  // [3, 2]

TEST(PooledLookup, AddsTheRowsOfEachBag) {
  const std::vector<std::int64_t> values{0, 2, 1, 1}, offsets{0, 2, 2, 4};
  std::vector<float> out(6, -1);
  pooled_lookup_forward({kTable.data(), 3, 2}, {values, offsets, {}}, Pooling::sum, out.data());
  EXPECT_EQ(out, (std::vector<float>{101, 202, 0, 0, 20, 40}));
  pooled_lookup_forward({kTable.data(), 3, 2}, {values, offsets, {}}, Pooling::mean, out.data());
  EXPECT_EQ(out, (std::vector<float>{50.5, 101, 0, 0, 10, 20}));
}

TEST(PooledLookup, WeighsIds) {
  const std::vector<std::int64_t> values{0, 2}, offsets{0, 2};
  const std::vector<float> weights{2, 0.5};
  std::vector<float> out(2);
  pooled_lookup_forward({kTable.data(), 3, 2}, {values, offsets, weights}, Pooling::sum, out.data());
  EXPECT_EQ(out, (std::vector<float>{52, 104}));
}

TEST(PooledLookup, TakesASliceOfTheBags) {
  const std::vector<std::int64_t> values{0, 2, 1, 1}, offsets{0, 2, 2, 4};
  std::vector<float> out(4);
  pooled_lookup_forward({kTable.data(), 3, 2}, {values, std::span(offsets).subspan(1), {}}, Pooling::sum, out.data());
  EXPECT_EQ(out, (std::vector<float>{0, 0, 20, 40}));
}

TEST(RowGroups, JoinDuplicateIdsInBagOrder) {
  const std::vector<std::int64_t> values{5, 1, 5, 5, 0}, offsets{0, 3, 3, 5};
  RowGroups groups;
  group_by_row({values, offsets, {}}, 6, Pooling::mean, groups);
  EXPECT_EQ(groups.rows, (std::vector<std::int64_t>{0, 1, 5}));
  EXPECT_EQ(groups.starts, (std::vector<std::int64_t>{0, 1, 2, 5}));
  EXPECT_EQ(groups.items[2].bag, 0);
  EXPECT_EQ(groups.items[3].bag, 0);
  EXPECT_EQ(groups.items[4].bag, 2);
  EXPECT_FLOAT_EQ(groups.items[2].scale, 1.0F / 3);
  EXPECT_FLOAT_EQ(groups.items[4].scale, 0.5F);
}

/// The gradient of a row is the sum over all its places, whatever the table's size (so the number of radix digits).
TEST(RowGroups, GradientsEqualAPlainSum) {
  for (const std::int64_t rows :
       {std::int64_t{1}, std::int64_t{2}, std::int64_t{2048}, std::int64_t{5000000}, std::int64_t{1} << 40})
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const std::int64_t bags = random::below(random::bits(seed, 1), 50),
                         dim = 1 + random::below(random::bits(seed, 2), 9);
      std::vector<std::int64_t> values, offsets{0};
      std::vector<float> weights, gradients;
      for (std::int64_t bag = 0; bag < bags; ++bag) {
        const std::int64_t ids = random::below(random::bits(seed, 3, bag), 7);
        for (std::int64_t i = 0; i < ids; ++i) {
          // Few distinct ids, far apart, so that duplicates occur in every table.
          values.push_back(random::below(random::bits(seed, 4, bag, i), 6) * (rows - 1) / 5);
          weights.push_back(static_cast<float>(random::uniform(random::bits(seed, 5, bag, i))));
        }
        offsets.push_back(static_cast<std::int64_t>(values.size()));
        for (std::int64_t d = 0; d < dim; ++d)
          gradients.push_back(static_cast<float>(random::normal(random::bits(seed, 6, bag, d))));
      }
      std::map<std::int64_t, std::vector<double>> wanted;
      for (std::int64_t bag = 0; bag < bags; ++bag)
        for (std::int64_t i = offsets[bag]; i < offsets[bag + 1]; ++i) {
          auto& row = wanted[values[i]];
          row.resize(dim);
          for (std::int64_t d = 0; d < dim; ++d) row[d] += weights[i] * gradients[bag * dim + d];
        }
      std::vector<const float*> pointers;
      for (std::int64_t bag = 0; bag < bags; ++bag) pointers.push_back(gradients.data() + bag * dim);
      RowGroups groups;
      group_by_row({values, offsets, weights}, rows, Pooling::sum, groups);
      ASSERT_EQ(groups.rows.size(), wanted.size());
      std::vector<float> got(dim);
      std::size_t group = 0;
      for (const auto& [row, gradient] : wanted) {
        ASSERT_EQ(groups.rows[group], row);
        row_gradient(groups, static_cast<std::int64_t>(group++), pointers, dim, got.data());
        for (std::int64_t d = 0; d < dim; ++d)
          EXPECT_NEAR(got[d], gradient[d], 1e-4) << "rows " << rows << " seed " << seed;
      }
    }
}

}  // namespace
}  // namespace swallowtail
