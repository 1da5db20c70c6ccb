#include "trainer/sap/k_means.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/kmeans.h"
#include "kernels/random.h"

namespace swallowtail {
namespace {

constexpr double kClip = 32, kUnit = 0x1.0p24;                        // of a coordinate: safe to 2^33 points
constexpr double kMostDistance = 0x1.0p16, kDistanceUnit = 0x1.0p20;  // of a squared distance: safe to 2^26 points

std::int64_t fixed(double coordinate) { return std::llround(std::clamp(coordinate, -kClip, kClip) * kUnit); }
std::int64_t fixed_distance(double squared) { return std::llround(std::min(squared, kMostDistance) * kDistanceUnit); }

class Run {
 public:
  Run(const PointBlock& points, const KMeansOptions& options, Communicator& ranks)
      : points_(points),
        options_(options),
        ranks_(ranks),
        mine_(points.last - points.first),
        nearest_(static_cast<std::size_t>(mine_)),
        distances_(static_cast<std::size_t>(mine_)) {}

  /// Centres by k-means++.
  std::vector<float> plus_plus(std::int64_t restart) {
    const std::int64_t tries = 2 + static_cast<std::int64_t>(std::log(static_cast<double>(options_.count)));
    std::vector<float> centroids;
    std::vector<std::int64_t> mass(static_cast<std::size_t>(mine_), 1), best_mass;
    for (std::int64_t center = 0; center < options_.count; ++center) {
      std::vector<float> best;
      std::int64_t least = std::numeric_limits<std::int64_t>::max();
      for (std::int64_t attempt = 0; attempt < (center == 0 ? 1 : tries); ++attempt) {
        const auto key = random::bits(options_.seed, random::purpose("k-means++"), static_cast<std::uint64_t>(restart),
                                      static_cast<std::uint64_t>(center * 64 + attempt));
        const std::vector<float> drawn = draw(mass, key);
        std::vector<std::int64_t> candidate = mass;
        kmeans_assign({mine_, 1, points_.dim}, points_.rows.data(), drawn.data(), nearest_, distances_);
        for (std::int64_t n = 0; n < mine_; ++n) {
          const std::int64_t distance = fixed_distance(distances_[n]);
          candidate[n] = center == 0 ? distance : std::min(candidate[n], distance);
        }
        const std::int64_t total = sum(candidate);
        if (total >= least) continue;
        least = total;
        best = drawn;
        best_mass = std::move(candidate);
      }
      mass = best_mass;
      centroids.insert(centroids.end(), best.begin(), best.end());
    }
    return centroids;
  }

  Clustering lloyd(std::vector<float> centroids) {
    Clustering made;
    made.of_point.assign(static_cast<std::size_t>(mine_), -1);
    const auto k = static_cast<std::int64_t>(centroids.size()) / points_.dim;
    for (std::int64_t iteration = 0;; ++iteration) {
      std::int64_t changed = assign(centroids, k, made);
      made.history.push_back(made.inertia);
      ranks_.all_reduce_max(Tag{"k-means changes", iteration}, std::span(&changed, 1));
      if (changed == 0 || iteration == options_.iterations) break;
      const std::vector<std::int64_t> farthest = move_empty(made, k);
      centroids = means(made, k, centroids);
      for (std::size_t i = 0; i + 1 < farthest.size(); i += 2) {
        const auto row = fetch(farthest[i + 1]);
        std::ranges::copy(row, centroids.begin() + farthest[i] * points_.dim);
      }
    }
    // Centres that are still without points, as there are fewer different points, go.
    std::vector<std::int64_t> renamed(static_cast<std::size_t>(k), -1), kept_sizes;
    for (std::int64_t c = 0; c < k; ++c) {
      if (made.sizes[c] == 0) continue;
      renamed[c] = made.count++;
      kept_sizes.push_back(made.sizes[c]);
      made.centroids.insert(made.centroids.end(), centroids.begin() + c * points_.dim,
                            centroids.begin() + (c + 1) * points_.dim);
    }
    made.sizes = std::move(kept_sizes);
    for (std::int64_t& label : made.of_point) label = renamed[label];
    return made;
  }

 private:
  std::int64_t sum(const std::vector<std::int64_t>& values) {
    std::int64_t total = 0;
    for (const std::int64_t value : values) total += value;
    ranks_.all_reduce_sum(Tag{"k-means mass"}, std::span(&total, 1));
    return total;
  }

  /// The row of a point of any rank.
  std::vector<float> fetch(std::int64_t point) {
    const bool is_mine = point >= points_.first && point < points_.last;
    std::int64_t owner = is_mine ? ranks_.rank() : -1;
    ranks_.all_reduce_max(Tag{"k-means owner"}, std::span(&owner, 1));
    std::vector<float> row(static_cast<std::size_t>(points_.dim));
    if (is_mine) std::copy_n(points_.rows.begin() + (point - points_.first) * points_.dim, points_.dim, row.begin());
    ranks_.broadcast(Tag{"k-means row"}, static_cast<int>(owner), std::as_writable_bytes(std::span(row)));
    return row;
  }

  /// A point with a chance in proportion to its mass; where nothing has mass, the first.
  std::vector<float> draw(const std::vector<std::int64_t>& mass, std::uint64_t key) {
    std::vector<std::int64_t> of_rank(static_cast<std::size_t>(ranks_.world_size()), 0);
    for (const std::int64_t value : mass) of_rank[ranks_.rank()] += value;
    ranks_.all_reduce_sum(Tag{"k-means masses"}, std::span(of_rank));
    std::int64_t total = 0, before = 0;
    for (int rank = 0; rank < ranks_.world_size(); ++rank) {
      if (rank < ranks_.rank()) before += of_rank[rank];
      total += of_rank[rank];
    }
    std::int64_t found = -1;
    if (total == 0) {
      found = 0;
    } else {
      const std::int64_t target = random::below(key, total);
      for (std::int64_t n = 0; n < mine_; ++n) {
        if (target >= before && target < before + mass[n]) found = points_.first + n;
        before += mass[n];
      }
      ranks_.all_reduce_max(Tag{"k-means draw"}, std::span(&found, 1));
    }
    return fetch(found);
  }

  /// Nearest centres, sizes and inertia; 1 where a label of this rank has changed.
  std::int64_t assign(const std::vector<float>& centroids, std::int64_t k, Clustering& made) {
    kmeans_assign({mine_, k, points_.dim}, points_.rows.data(), centroids.data(), nearest_, distances_);
    std::vector<std::int64_t> totals(static_cast<std::size_t>(k) + 1, 0);
    for (std::int64_t n = 0; n < mine_; ++n) {
      ++totals[nearest_[n]];
      const float* const point = points_.rows.data() + n * points_.dim;
      const float* const center = centroids.data() + nearest_[n] * points_.dim;
      double squared = 0;
      for (std::int64_t d = 0; d < points_.dim; ++d) {
        const double apart = static_cast<double>(point[d]) - center[d];
        squared += apart * apart;
      }
      totals[k] += fixed_distance(squared);
    }
    ranks_.all_reduce_sum(Tag{"k-means sizes"}, std::span(totals));
    made.sizes.assign(totals.begin(), totals.end() - 1);
    made.inertia = static_cast<double>(totals[k]) / kDistanceUnit;
    const bool changed = !std::ranges::equal(nearest_, made.of_point);
    made.of_point.assign(nearest_.begin(), nearest_.end());
    return changed ? 1 : 0;
  }

  /// {centre, point} for each empty centre: the farthest point that no other took and that is not on its own centre.
  std::vector<std::int64_t> move_empty(const Clustering& made, std::int64_t k) {
    std::vector<std::int64_t> moves;
    std::vector<std::int64_t> taken;
    for (std::int64_t center = 0; center < k; ++center) {
      if (made.sizes[center] > 0) continue;
      std::int64_t farthest = 0, at = std::numeric_limits<std::int64_t>::min();
      for (std::int64_t n = 0; n < mine_; ++n)
        if (std::ranges::find(taken, points_.first + n) == taken.end())
          farthest = std::max(farthest, fixed_distance(distances_[n]));
      ranks_.all_reduce_max(Tag{"k-means farthest"}, std::span(&farthest, 1));
      if (farthest == 0) break;
      for (std::int64_t n = 0; n < mine_ && at == std::numeric_limits<std::int64_t>::min(); ++n)
        if (fixed_distance(distances_[n]) == farthest && std::ranges::find(taken, points_.first + n) == taken.end())
          at = -(points_.first + n);
      ranks_.all_reduce_max(Tag{"k-means farthest point"}, std::span(&at, 1));
      moves.push_back(center);
      moves.push_back(-at);
      taken.push_back(-at);
    }
    return moves;
  }

  std::vector<float> means(const Clustering& made, std::int64_t k, std::vector<float> centroids) {
    std::vector<std::int64_t> sums(static_cast<std::size_t>(k * points_.dim), 0);
    for (std::int64_t n = 0; n < mine_; ++n)
      for (std::int64_t d = 0; d < points_.dim; ++d)
        sums[made.of_point[n] * points_.dim + d] += fixed(points_.rows[n * points_.dim + d]);
    ranks_.all_reduce_sum(Tag{"k-means sums"}, std::span(sums));
    for (std::int64_t c = 0; c < k; ++c)
      for (std::int64_t d = 0; made.sizes[c] > 0 && d < points_.dim; ++d)
        centroids[c * points_.dim + d] = static_cast<float>(static_cast<double>(sums[c * points_.dim + d]) / kUnit /
                                                            static_cast<double>(made.sizes[c]));
    return centroids;
  }

  const PointBlock& points_;
  const KMeansOptions& options_;
  Communicator& ranks_;
  std::int64_t mine_;
  std::vector<std::int64_t> nearest_;
  std::vector<float> distances_;
};

}  // namespace

Clustering k_means(const PointBlock& points, const KMeansOptions& options, Communicator& ranks) {
  Run run(points, options, ranks);
  if (!options.initial.empty()) return run.lloyd(options.initial);
  Clustering best;
  for (std::int64_t restart = 0; restart < options.restarts; ++restart) {
    Clustering made = run.lloyd(run.plus_plus(restart));
    if (restart == 0 || made.inertia < best.inertia) best = std::move(made);
  }
  return best;
}

}  // namespace swallowtail
