#include <algorithm>
#include <limits>

#include "kernels/auc.h"
#include "kernels/cuda/auc.h"
#include "kernels/cuda/kmeans.h"
#include "kernels/cuda/top_k.h"
#include "kernels/kmeans.h"
#include "kernels/top_k.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

TEST(AucOnDevice, IsTheHosts) {
  testing::for_seeds("auc equals the host's", [](std::uint64_t seed) {
    const std::int64_t size = below(seed, 1, 5) == 0 ? below(seed, 2, 3) : below(seed, 3, 3000);
    const bool has_ties = below(seed, 4, 2) != 0;
    std::vector<float> scores, labels;
    for (std::int64_t i = 0; i < size; ++i) {
      const std::uint64_t bits = random::bits(seed, 5, static_cast<std::uint64_t>(i));
      scores.push_back(has_ties ? static_cast<float>(random::below(bits, 12)) / 11
                                : static_cast<float>(random::uniform(bits)));
      if (scores.back() == 0 && bits % 2) scores.back() = -0.0F;
      labels.push_back(random::mix(bits) % 4 == 0 ? 1.0F : 0.0F);
    }
    if (size > 0 && below(seed, 6, 10) == 0) scores[0] = -1;
    Stream stream;
    const auto on_device = testing::on_device(scores, stream), labels_there = testing::on_device(labels, stream);
    DeviceBuffer<AucCounts> counts(1);
    AucScratch scratch;
    count_auc(on_device.data(), labels_there.data(), size, counts.data(), scratch, stream);
    const std::vector<double> wide(scores.begin(), scores.end());
    EXPECT_EQ(area_of(testing::on_host(counts, stream)[0]), exact_auc(wide, labels)) << "seed " << seed;
  });
}

TEST(KMeansOnDevice, HasTheBitsOfTheHost) {
  testing::for_seeds("k-means equals the host's", [](std::uint64_t seed) {
    const KMeansShape shape{below(seed, 1, 5) == 0 ? below(seed, 2, 3) : below(seed, 3, 140),
                            1 + below(seed, 4, below(seed, 5, 4) ? 6 : 140), 1 + below(seed, 6, 40)};
    const bool has_ties = below(seed, 7, 2) != 0;
    auto points = testing::values(seed, 10, shape.points * shape.dim, has_ties);
    auto centroids = testing::values(seed, 11, shape.centroids * shape.dim, has_ties);
    if (!points.empty() && below(seed, 8, 4) == 0) points[0] = std::numeric_limits<float>::quiet_NaN();
    if (below(seed, 9, 4) == 0) centroids.back() = std::numeric_limits<float>::infinity();
    Stream stream;
    const auto there = testing::on_device(points, stream), centroids_there = testing::on_device(centroids, stream);
    DeviceBuffer<std::int64_t> nearest(shape.points);
    DeviceBuffer<float> distances(shape.points);
    kmeans_assign(shape, there.data(), centroids_there.data(), nearest.data(), distances.data(), stream);
    std::vector<std::int64_t> wanted(static_cast<std::size_t>(shape.points));
    std::vector<float> wanted_distances(wanted.size());
    swallowtail::kmeans_assign(shape, points.data(), centroids.data(), wanted, wanted_distances);
    EXPECT_EQ(testing::on_host(nearest, stream), wanted) << "seed " << seed;
    EXPECT_TRUE(testing::same_bits(wanted_distances, testing::on_host(distances, stream))) << "seed " << seed;

    if (!points.empty()) points[0] = 0;
    const auto finite = testing::on_device(points, stream);
    DeviceBuffer<unsigned long long> empty(1);
    KMeansScratch scratch;
    kmeans_means(shape, finite.data(), nearest.data(), centroids_there.data(), empty.data(), scratch, stream);
    const std::int64_t wanted_empty = swallowtail::kmeans_means(shape, points.data(), wanted, centroids.data());
    EXPECT_EQ(testing::on_host(empty, stream)[0], static_cast<unsigned long long>(wanted_empty)) << "seed " << seed;
    EXPECT_TRUE(testing::same_bits(centroids, testing::on_host(centroids_there, stream))) << "seed " << seed;
  });
}

TEST(TopKOnDevice, ChoosesWhatTheHostChooses) {
  testing::for_seeds("top k equals the host's", [](std::uint64_t seed) {
    TopKOptions options{.users = below(seed, 1, 4),
                        .items = below(seed, 2, below(seed, 3, 2) ? 40 : 700),
                        .k = below(seed, 4, below(seed, 5, 3) ? 20 : 300),
                        .excluded = {},
                        .candidates = {}};
    const std::int64_t kinds = below(seed, 6, 3);  // of scores: all alike, few, many
    std::vector<float> scores;
    for (std::int64_t i = 0; i < options.users * options.items; ++i) {
      const std::uint64_t bits = random::bits(seed, 7, static_cast<std::uint64_t>(i));
      const float score = kinds == 0   ? 0.0F
                          : kinds == 1 ? static_cast<float>(random::below(bits, 5) - 2) / 2
                                       : static_cast<float>(random::normal(bits));
      scores.push_back(bits % 31 == 0           ? std::numeric_limits<float>::quiet_NaN()
                       : bits % 37 == 0         ? -std::numeric_limits<float>::infinity()
                       : score == 0 && bits % 2 ? -0.0F
                                                : score);
    }
    std::vector<std::int64_t> excluded, offsets{0};
    for (std::int64_t user = 0; user < options.users; ++user) {
      const std::int64_t count = options.items == 0 ? 0 : below(seed, 100 + static_cast<std::uint64_t>(user), 60);
      for (std::int64_t i = 0; i < count; ++i)
        excluded.push_back(random::below(
            random::bits(seed, 8, static_cast<std::uint64_t>(user), static_cast<std::uint64_t>(i)), options.items));
      offsets.push_back(std::ssize(excluded));
    }
    std::vector<std::uint8_t> candidates;
    for (std::int64_t i = 0; i < options.items; ++i)
      candidates.push_back(random::bits(seed, 9, static_cast<std::uint64_t>(i)) % 3 != 0);
    const bool excludes = below(seed, 10, 2) != 0, chooses = below(seed, 11, 2) != 0;
    if (excludes) options.excluded = {excluded, offsets, {}};
    if (chooses) options.candidates = candidates;

    Stream stream;
    const auto there = testing::on_device(scores, stream);
    const auto excluded_there = testing::on_device(excluded, stream),
               offsets_there = testing::on_device(offsets, stream);
    const auto candidates_there = testing::on_device(candidates, stream);
    DeviceBuffer<std::int64_t> items(options.users * options.k);
    DeviceBuffer<float> best(options.users * options.k);
    top_k({options.users, options.items, options.k, excludes ? excluded_there.data() : nullptr,
           excludes ? offsets_there.data() : nullptr, chooses ? candidates_there.data() : nullptr},
          there.data(), items.data(), best.data(), stream);
    std::vector<std::int64_t> wanted(static_cast<std::size_t>(options.users * options.k));
    std::vector<float> wanted_best(wanted.size());
    swallowtail::top_k(options, scores.data(), wanted, wanted_best);
    EXPECT_EQ(testing::on_host(items, stream), wanted) << "seed " << seed;
    EXPECT_TRUE(testing::same_bits(wanted_best, testing::on_host(best, stream))) << "seed " << seed;
  });
}

TEST(TopKOnDevice, RefusesWhatDoesNotFit) {
  Stream stream;
  EXPECT_THROW(top_k({1, kMostTopKItems + 1, 1, nullptr, nullptr, nullptr}, nullptr, nullptr, nullptr, stream),
               Failure);
  EXPECT_THROW(top_k({1, 10, kMostTopK + 1, nullptr, nullptr, nullptr}, nullptr, nullptr, nullptr, stream), Failure);
}

}  // namespace
}  // namespace swallowtail::cuda
