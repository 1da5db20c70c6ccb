// The nearest centroid with sixteen centroids as lanes, so that no sum crosses lanes. Included after a simd_*.h, under
// its target.
#pragma once

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kTile = 4;  // points that share a load

void assign(const KMeansShape& shape, const float* points, const float* centroids, std::int64_t* nearest,
            float* distances) {
  const std::int64_t dim = shape.dim, stride = (shape.centroids + kLanes - 1) / kLanes * kLanes;
  std::vector<float> columns(static_cast<std::size_t>(dim * stride));  // [dim, stride]
  for (std::int64_t k = 0; k < shape.centroids; ++k)
    for (std::int64_t d = 0; d < dim; ++d) columns[d * stride + k] = centroids[k * dim + d];
#pragma omp parallel for schedule(static) if (shape.points >= 64)
  for (std::int64_t first = 0; first < shape.points; first += kTile) {
    const std::int64_t count = std::min(kTile, shape.points - first);
    const float* rows[kTile];
    float least[kTile];
    for (std::int64_t p = 0; p < kTile; ++p) {
      rows[p] = points + (first + std::min(p, count - 1)) * dim;
      least[p] = std::numeric_limits<float>::infinity();
    }
    for (std::int64_t p = 0; p < count; ++p) nearest[first + p] = 0;
    for (std::int64_t k = 0; k < shape.centroids; k += kLanes) {
      F16 sum[kTile];
      for (F16& one : sum) one = F16::all(0);
      for (std::int64_t d = 0; d < dim; ++d) {
        const F16 column = F16::load(columns.data() + d * stride + k);
        for (std::int64_t p = 0; p < kTile; ++p) {
          const F16 apart = F16::all(rows[p][d]) - column;
          sum[p] = fma(apart, apart, sum[p]);
        }
      }
      for (std::int64_t p = 0; p < count; ++p) {
        if (F16::greater(F16::all(least[p]), sum[p]) == 0) continue;
        float found[kLanes];
        sum[p].store(found);
        for (std::int64_t j = 0; j < std::min(kLanes, shape.centroids - k); ++j)
          if (found[j] < least[p]) {
            least[p] = found[j];
            nearest[first + p] = k + j;
          }
      }
    }
    for (std::int64_t p = 0; distances != nullptr && p < count; ++p) distances[first + p] = least[p];
  }
}

constexpr KmeansFamily kFamily{assign};

}  // namespace
}  // namespace swallowtail::cpu
