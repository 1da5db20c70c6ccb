// k-means over points that are divided among the ranks, with the same bits on any number of them: everything that is
// added over points is added in whole numbers (fixed point, clipped at ±32), so the order does not matter.
// Source: Lloyd 1982; k-means++: Arthur and Vassilvitskii, SODA 2007, with the best of a few draws for each centre, as
// scikit-learn does.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/communicator.h"

namespace swallowtail {

/// This rank's points: [first, last) of `all` points, ranks in order. Borrowed.
struct PointBlock {
  std::span<const float> rows;  // [last - first, dim]
  std::int64_t dim = 0, first = 0, last = 0, all = 0;
};

struct KMeansOptions {
  std::int64_t count = 2, restarts = 8, iterations = 100;
  std::uint64_t seed = 1;
  std::vector<float> initial = {};  // [count, dim] centres to begin with, instead of k-means++ and restarts
};

struct Clustering {
  std::int64_t count = 0;              // centres that have points; no more than there are different points
  std::vector<float> centroids;        // [count, dim]
  std::vector<std::int64_t> of_point;  // [last - first] of this rank's points
  std::vector<std::int64_t> sizes;     // [count] over all ranks
  double inertia = 0;                  // sum of squared distances, over all ranks
  std::vector<double> history;         // of the kept start: inertia before each iteration
};

/// Collective. Of the restarts the least inertia wins, the first of equals. Requires all >= 1, count >= 1.
/// A point as near to two centres belongs to the lower one; a centre without points moves to the farthest point.
Clustering k_means(const PointBlock& points, const KMeansOptions& options, Communicator& ranks);

/// Mean silhouette of `points` [n, dim] under `labels` [n], exact: O(n^2 dim / ranks). Points alone in their cluster
/// count 0. Collective; every rank holds all points. Source: Rousseeuw 1987.
class Silhouette {
 public:
  Silhouette(std::span<const float> points, std::int64_t dim, Communicator& ranks);
  double mean(std::span<const std::int64_t> labels, std::int64_t clusters);

 private:
  std::int64_t points_, first_, last_;
  std::vector<float> distances_;  // [last - first, points]
  Communicator& ranks_;
};

}  // namespace swallowtail
