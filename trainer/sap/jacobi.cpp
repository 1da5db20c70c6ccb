#include "trainer/sap/jacobi.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace swallowtail {
namespace {

constexpr int kMostSweeps = 60;

void rotate(std::vector<double>& a, std::vector<double>& v, std::int64_t n, std::int64_t p, std::int64_t q) {
  const double apart = a[p * n + q];
  if (apart == 0) return;
  const double theta = (a[q * n + q] - a[p * n + p]) / (2 * apart);
  const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::sqrt(theta * theta + 1));
  const double c = 1 / std::sqrt(t * t + 1), s = t * c;
  for (std::int64_t i = 0; i < n; ++i) {
    const double left = a[i * n + p], right = a[i * n + q];
    a[i * n + p] = c * left - s * right;
    a[i * n + q] = s * left + c * right;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const double left = a[p * n + i], right = a[q * n + i];
    a[p * n + i] = c * left - s * right;
    a[q * n + i] = s * left + c * right;
  }
  for (std::int64_t i = 0; i < n; ++i) {
    const double left = v[i * n + p], right = v[i * n + q];
    v[i * n + p] = c * left - s * right;
    v[i * n + q] = s * left + c * right;
  }
}

}  // namespace

Eigen symmetric_eigen(std::span<const double> matrix, std::int64_t n) {
  std::vector<double> a(matrix.begin(), matrix.end()), v(a.size(), 0.0);
  for (std::int64_t i = 0; i < n; ++i) v[i * n + i] = 1;
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    double apart = 0, along = 0;
    for (std::int64_t p = 0; p < n; ++p) {
      along += a[p * n + p] * a[p * n + p];
      for (std::int64_t q = p + 1; q < n; ++q) apart += a[p * n + q] * a[p * n + q];
    }
    if (apart <= 1e-30 * along) break;
    for (std::int64_t p = 0; p < n; ++p)
      for (std::int64_t q = p + 1; q < n; ++q) rotate(a, v, n, p, q);
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::int64_t i) { return a[i * n + i]; });
  Eigen eigen{std::vector<double>(static_cast<std::size_t>(n)), std::vector<double>(a.size())};
  for (std::int64_t j = 0; j < n; ++j) {
    eigen.values[j] = a[order[j] * n + order[j]];
    for (std::int64_t i = 0; i < n; ++i) eigen.vectors[i * n + j] = v[i * n + order[j]];
  }
  return eigen;
}

}  // namespace swallowtail
