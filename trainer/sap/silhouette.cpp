#include <algorithm>
#include <cmath>

#include "trainer/sap/k_means.h"

namespace swallowtail {

Silhouette::Silhouette(std::span<const float> points, std::int64_t dim, Communicator& ranks)
    : points_(dim == 0 ? 0 : static_cast<std::int64_t>(points.size()) / dim),
      first_(points_ * ranks.rank() / ranks.world_size()),
      last_(points_ * (ranks.rank() + 1) / ranks.world_size()),
      distances_(static_cast<std::size_t>((last_ - first_) * points_)),
      ranks_(ranks) {
#pragma omp parallel for schedule(static)
  for (std::int64_t a = first_; a < last_; ++a)
    for (std::int64_t b = 0; b < points_; ++b) {
      double squared = 0;
      for (std::int64_t d = 0; d < dim; ++d) {
        const double apart = static_cast<double>(points[a * dim + d]) - points[b * dim + d];
        squared += apart * apart;
      }
      distances_[(a - first_) * points_ + b] = static_cast<float>(std::sqrt(squared));
    }
}

double Silhouette::mean(std::span<const std::int64_t> labels, std::int64_t clusters) {
  std::vector<double> sizes(static_cast<std::size_t>(clusters), 0.0), widths(static_cast<std::size_t>(points_), 0.0);
  for (const std::int64_t label : labels) ++sizes[label];
  std::vector<double> sums(static_cast<std::size_t>(clusters));
  for (std::int64_t a = first_; a < last_; ++a) {
    const std::int64_t own = labels[a];
    if (sizes[own] < 2) continue;
    std::ranges::fill(sums, 0.0);
    for (std::int64_t b = 0; b < points_; ++b) sums[labels[b]] += distances_[(a - first_) * points_ + b];
    const double within = sums[own] / (sizes[own] - 1);
    double beside = -1;
    for (std::int64_t c = 0; c < clusters; ++c)
      if (c != own && sizes[c] > 0 && (beside < 0 || sums[c] / sizes[c] < beside)) beside = sums[c] / sizes[c];
    const double wider = std::max(within, beside);
    widths[a] = beside < 0 || wider == 0 ? 0 : (beside - within) / wider;
  }
  ranks_.all_reduce_sum(Tag{"silhouettes"}, std::span(widths));  // one rank's value beside zeros: a copy
  double sum = 0;
  for (const double width : widths) sum += width;
  return points_ == 0 ? 0 : sum / static_cast<double>(points_);
}

}  // namespace swallowtail
