// Eigenvectors of small symmetric matrices by Jacobi's rotations (Crelle 1846), in fp64: a fixed order of operations.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace swallowtail {

struct Eigen {
  std::vector<double> values;   // [n] falling
  std::vector<double> vectors;  // [n, n]: column j belongs to values[j]
};

/// `matrix` [n, n] symmetric. O(n^3) a sweep; n up to a few hundred.
Eigen symmetric_eigen(std::span<const double> matrix, std::int64_t n);

}  // namespace swallowtail
