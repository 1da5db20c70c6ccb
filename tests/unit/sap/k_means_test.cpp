// k-means against scikit-learn (tests/golden/k_means.py), its laws, and the same bits on any number of ranks.
#include "trainer/sap/k_means.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "parallel/local_communicator.h"
#include "tests/unit/sap/sap_fixture.h"

namespace swallowtail {
namespace {

using test::adjusted_rand;

struct Points {
  std::int64_t dim;
  std::vector<float> rows;
  std::int64_t count() const { return static_cast<std::int64_t>(rows.size()) / dim; }
};

struct Whole {
  Clustering made;
  std::vector<std::int64_t> labels;  // of all points
  double silhouette = 0;
};

Whole clustered(const Points& points, const KMeansOptions& options, Communicator& ranks) {
  const std::int64_t first = points.count() * ranks.rank() / ranks.world_size();
  const std::int64_t last = points.count() * (ranks.rank() + 1) / ranks.world_size();
  const auto own =
      std::span(points.rows)
          .subspan(static_cast<std::size_t>(first * points.dim), static_cast<std::size_t>((last - first) * points.dim));
  Whole whole{k_means({own, points.dim, first, last, points.count()}, options, ranks), {}, 0};
  whole.labels.assign(static_cast<std::size_t>(points.count()), 0);
  std::ranges::copy(whole.made.of_point, whole.labels.begin() + first);
  ranks.all_reduce_sum(Tag{"labels"}, std::span(whole.labels));
  whole.silhouette = Silhouette(points.rows, points.dim, ranks).mean(whole.labels, whole.made.count);
  return whole;
}

Whole clustered(const Points& points, const KMeansOptions& options) {
  const auto rank = make_single_rank();
  return clustered(points, options, *rank);
}

nlohmann::json golden() {
  std::ifstream file(SWALLOWTAIL_SOURCE_DIR "/tests/golden/k_means.json");
  return nlohmann::json::parse(file);
}

std::vector<float> flat(const nlohmann::json& rows) {
  std::vector<float> all;
  for (const auto& row : rows)
    for (const auto& value : row) all.push_back(value.get<float>());
  return all;
}

Points points_of(const nlohmann::json& test) {
  return {static_cast<std::int64_t>(test["points"][0].size()), flat(test["points"])};
}

TEST(KMeans, EqualsScikitLearnFromTheSameCentres) {
  for (const auto& test : golden()) {
    const auto made =
        clustered(points_of(test), {.count = test["k"], .iterations = 300, .initial = flat(test["initial"])});
    const double inertia = test["given"]["inertia"];
    EXPECT_NEAR(made.made.inertia, inertia, 1e-6 * inertia) << test["name"];
    EXPECT_EQ(adjusted_rand(made.labels, test["given"]["labels"]), 1) << test["name"];
    EXPECT_NEAR(made.silhouette, test["given"]["silhouette"].get<double>(), 1e-6) << test["name"];
  }
}

TEST(KMeans, RestartsReachScikitLearnsInertia) {
  for (const auto& test : golden()) {
    double mean = 0;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const auto made = clustered(points_of(test), {.count = test["k"], .seed = seed});
      EXPECT_LE(made.made.inertia, 1.01 * test["restarts"]["mean"].get<double>()) << test["name"] << ", seed " << seed;
      mean += made.made.inertia / 10;
      if (!test["truth"].empty()) {
        EXPECT_EQ(adjusted_rand(made.labels, test["truth"]), 1);
      }
    }
    EXPECT_LE(mean, 1.005 * test["restarts"]["mean"].get<double>()) << test["name"];
  }
}

TEST(KMeans, HasTheSameBitsOnAnyNumberOfRanks) {
  for (const auto& test : golden()) {
    const Points points = points_of(test);
    const KMeansOptions options{.count = test["k"], .restarts = 3, .seed = 5};
    const Whole one = clustered(points, options);
    for (const int world : {2, 3, 4, 8}) {
      std::mutex mutex;
      run_ranks(world, [&](Communicator& ranks) {
        const Whole many = clustered(points, options, ranks);
        const std::lock_guard guard(mutex);
        EXPECT_EQ(many.labels, one.labels) << world;
        EXPECT_EQ(many.made.centroids, one.made.centroids) << world;
        EXPECT_EQ(many.made.inertia, one.made.inertia) << world;
        EXPECT_EQ(many.silhouette, one.silhouette) << world;
      });
    }
  }
}

Points drawn_points() {
  const auto dim = *rc::gen::inRange<std::int64_t>(1, 4);
  const auto count = *rc::gen::inRange<std::int64_t>(1, 30);
  Points points{dim, {}};
  for (std::int64_t i = 0; i < count * dim; ++i)
    points.rows.push_back(static_cast<float>(*rc::gen::inRange(-4, 5)) * 0.5F);  // few values: ties and equal points
  return points;
}

TEST(KMeans, InertiaNeverRisesAndEqualPointsShareACluster) {
  EXPECT_TRUE(rc::check([] {
    const Points points = drawn_points();
    const KMeansOptions options{.count = *rc::gen::inRange<std::int64_t>(1, 7), .restarts = 2, .seed = 3};
    const Whole whole = clustered(points, options);
    for (std::size_t i = 1; i < whole.made.history.size(); ++i)
      RC_ASSERT(whole.made.history[i] <= whole.made.history[i - 1] * (1 + 1e-6) + 1e-6);
    RC_ASSERT(whole.made.count >= 1);
    RC_ASSERT(whole.made.count <= options.count);
    std::int64_t sum = 0;
    for (const std::int64_t size : whole.made.sizes) {
      RC_ASSERT(size > 0);
      sum += size;
    }
    RC_ASSERT(sum == points.count());
    for (std::int64_t a = 0; a < points.count(); ++a)
      for (std::int64_t b = 0; b < a; ++b)
        if (std::equal(points.rows.begin() + a * points.dim, points.rows.begin() + (a + 1) * points.dim,
                       points.rows.begin() + b * points.dim))
          RC_ASSERT(whole.labels[a] == whole.labels[b]);
  }));
}

TEST(KMeans, AsManyCentresAsPointsLeaveNoInertia) {
  const Points points{2, {0, 0, 1, 5, -3, 2, 7, 7, 4, -4}};
  const Whole whole = clustered(points, {.count = 5});
  EXPECT_EQ(whole.made.inertia, 0);
  EXPECT_EQ(std::set(whole.labels.begin(), whole.labels.end()).size(), 5U);
  const Whole more = clustered({1, {2, 2, 2}}, {.count = 3});
  EXPECT_EQ(more.made.count, 1);  // three equal points are one
  EXPECT_EQ(more.made.inertia, 0);
}

TEST(KMeans, OrderOfPointsDecidesNothing) {
  const auto test = golden()[0];
  const Points points = points_of(test);
  Points turned{points.dim, {}};
  for (std::int64_t n = points.count() - 1; n >= 0; --n)
    turned.rows.insert(turned.rows.end(), points.rows.begin() + n * points.dim,
                       points.rows.begin() + (n + 1) * points.dim);
  const Whole straight = clustered(points, {.count = 5});
  Whole back = clustered(turned, {.count = 5});
  std::ranges::reverse(back.labels);
  EXPECT_EQ(adjusted_rand(straight.labels, back.labels), 1);
  EXPECT_NEAR(straight.made.inertia, back.made.inertia, 1e-6 * back.made.inertia);
}

TEST(Silhouette, Golden) {
  const auto rank = make_single_rank();
  const std::vector<float> points{0, 0, 0, 1, 4, 0, 4, 1};
  Silhouette silhouette(points, 2, *rank);
  EXPECT_NEAR(silhouette.mean(std::vector<std::int64_t>{0, 0, 1, 1}, 2), 0.7537887, 5e-8);
  EXPECT_EQ(silhouette.mean(std::vector<std::int64_t>{0, 0, 0, 0}, 1), 0);  // nothing to stand apart from
}

}  // namespace
}  // namespace swallowtail
