#include <gtest/gtest.h>
#include <omp.h>
#include <rapidcheck.h>

#include <cmath>
#include <vector>

#include "kernels/kmeans.h"
#include "kernels/random.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

struct Assigned {
  std::vector<std::int64_t> nearest;
  std::vector<float> distances;
  bool operator==(const Assigned&) const = default;
};

TEST(KMeans, FindsTheNearestWithTheSameBitsEverywhere) {
  EXPECT_TRUE(rc::check([] {
    const KMeansShape shape{*rc::gen::element<std::int64_t>(0, 1, 6, 200), *rc::gen::inRange<std::int64_t>(1, 60),
                            *rc::gen::inRange<std::int64_t>(1, 70)};
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const auto levels = *rc::gen::element<std::int64_t>(2, 1000);  // two levels: many equal distances
    const auto draw = [&](std::uint64_t purpose, std::int64_t size) {
      std::vector<float> made(size);
      for (std::int64_t i = 0; i < size; ++i)
        made[i] = static_cast<float>(random::below(random::bits(seed, purpose, i), levels));
      return made;
    };
    const auto points = draw(1, shape.points * shape.dim), centroids = draw(2, shape.centroids * shape.dim);
    const auto run = [&] {
      Assigned found{std::vector<std::int64_t>(shape.points, -7), std::vector<float>(shape.points)};
      kmeans_assign(shape, points.data(), centroids.data(), found.nearest, found.distances);
      return found;
    };
    const Assigned scalar = under(Isa::scalar, run);
    for (const Isa isa : wide_isas()) {
      RC_ASSERT(under(isa, run) == scalar);
      omp_set_num_threads(3);
      const Assigned shared = under(isa, run);
      omp_set_num_threads(1);
      RC_ASSERT(shared == scalar);
    }
    for (std::int64_t n = 0; n < shape.points; ++n) {
      double least = 1e300;
      std::int64_t nearest = -1;
      for (std::int64_t k = 0; k < shape.centroids; ++k) {
        double sum = 0;
        for (std::int64_t d = 0; d < shape.dim; ++d) {
          const double apart = double{points[n * shape.dim + d]} - centroids[k * shape.dim + d];
          sum += apart * apart;
        }
        if (sum < least) least = sum, nearest = k;
      }
      RC_ASSERT(std::abs(scalar.distances[n] - least) <= 1e-5 * least);
      if (levels == 2) RC_ASSERT(scalar.nearest[n] == nearest);  // distances are whole numbers: exact, and tied
    }
  }));
}

TEST(KMeans, MeansMoveAndEmptyOnesStay) {
  const std::vector<float> points{1, 2, 3, 4, 10, 20};
  const std::vector<std::int64_t> nearest{0, 0, 2};
  std::vector<float> centroids{0, 0, 7, 8, 0, 0};
  EXPECT_EQ(kmeans_means({3, 3, 2}, points.data(), nearest, centroids.data()), 1);
  EXPECT_EQ(centroids, (std::vector<float>{2, 3, 7, 8, 10, 20}));
}

}  // namespace
}  // namespace swallowtail
