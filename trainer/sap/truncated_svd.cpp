#include "trainer/sap/truncated_svd.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kernels/random.h"
#include "trainer/ranking/co_occurrence.h"
#include "trainer/sap/jacobi.h"

namespace swallowtail {
namespace {

/// A tall matrix [rows, width], row-major.
struct Tall {
  std::int64_t rows, width;
  std::vector<double> values;
  Tall(std::int64_t height, std::int64_t columns)
      : rows(height), width(columns), values(static_cast<std::size_t>(height * columns), 0.0) {}
  double* row(std::int64_t r) { return values.data() + r * width; }
  const double* row(std::int64_t r) const { return values.data() + r * width; }
};

/// One side of the matrix: for each row the columns that it touches, and the square roots of counts.
struct Side {
  std::vector<std::int64_t> offsets{0}, others;
  std::vector<double> root;  // [rows] sqrt of the count
};

/// Sum over rows of left[r, i] * right[r, j], in the order of rows.
std::vector<double> products(const Tall& left, const Tall& right) {
  std::vector<double> sums(static_cast<std::size_t>(left.width * right.width), 0.0);
  for (std::int64_t r = 0; r < left.rows; ++r)
    for (std::int64_t i = 0; i < left.width; ++i) {
      const double factor = left.row(r)[i];
      for (std::int64_t j = 0; j < right.width; ++j) sums[i * right.width + j] += factor * right.row(r)[j];
    }
  return sums;
}

/// Orthonormal columns with the same span, by Cholesky factors of the Gram matrix, twice; a column that the others
/// span becomes 0.
void orthonormalise(Tall& matrix) {
  const std::int64_t n = matrix.width;
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<double> gram = products(matrix, matrix), inverse(gram.size(), 0.0);
    double largest = 0;
    for (std::int64_t i = 0; i < n; ++i) largest = std::max(largest, gram[i * n + i]);
    std::vector<double> factor(gram.size(), 0.0);  // lower, gram = factor factor^T
    for (std::int64_t j = 0; j < n; ++j) {
      double rest = gram[j * n + j];
      for (std::int64_t k = 0; k < j; ++k) rest -= factor[j * n + k] * factor[j * n + k];
      if (rest <= 1e-13 * gram[j * n + j] || rest <= 1e-26 * largest) continue;  // spanned by those before
      factor[j * n + j] = std::sqrt(rest);
      for (std::int64_t i = j + 1; i < n; ++i) {
        double sum = gram[i * n + j];
        for (std::int64_t k = 0; k < j; ++k) sum -= factor[i * n + k] * factor[j * n + k];
        factor[i * n + j] = sum / factor[j * n + j];
      }
    }
#pragma omp parallel for schedule(static) if (matrix.rows >= 4096)
    for (std::int64_t r = 0; r < matrix.rows; ++r) {
      double* const row = matrix.row(r);
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = row[j];
        for (std::int64_t k = 0; k < j; ++k) sum -= row[k] * factor[j * n + k];
        row[j] = factor[j * n + j] > 0 ? sum / factor[j * n + j] : 0;
      }
    }
  }
}

/// The matrix without its trivial part, or its transpose, times `from`. Each rank computes a block of rows.
Tall times(const Side& side, const Side& other, const Tall& from, double all, Communicator& ranks) {
  const std::int64_t rows = static_cast<std::int64_t>(side.root.size()), width = from.width;
  std::vector<double> trivial(static_cast<std::size_t>(width), 0.0);  // root of the other side's counts, times `from`
  for (std::int64_t r = 0; r < from.rows; ++r)
    for (std::int64_t j = 0; j < width; ++j) trivial[j] += other.root[r] * from.row(r)[j];
  const std::int64_t first = rows * ranks.rank() / ranks.world_size();
  const std::int64_t last = rows * (ranks.rank() + 1) / ranks.world_size();
  Tall product(rows, width);
#pragma omp parallel for schedule(dynamic, 256) if (last - first >= 512)
  for (std::int64_t r = first; r < last; ++r) {
    if (side.root[r] == 0) continue;
    double* const sums = product.row(r);
    for (std::int64_t e = side.offsets[r]; e < side.offsets[r + 1]; ++e) {
      const double* const row = from.row(side.others[e]);
      const double weight = 1 / other.root[side.others[e]];
      for (std::int64_t j = 0; j < width; ++j) sums[j] += weight * row[j];
    }
    for (std::int64_t j = 0; j < width; ++j) sums[j] = sums[j] / side.root[r] - side.root[r] * trivial[j] / all;
  }
  if (ranks.world_size() > 1) {
    std::vector<std::int64_t> counts;
    for (int rank = 0; rank < ranks.world_size(); ++rank)
      counts.push_back((rows * (rank + 1) / ranks.world_size() - rows * rank / ranks.world_size()) * width);
    const std::vector<double> mine(product.row(first), product.row(first) + (last - first) * width);
    ranks.all_gather(Tag{"rows of a product"}, std::as_bytes(std::span(mine)),
                     chunks(product.values, byte_offsets(counts, sizeof(double))));
  }
  return product;
}

/// from [rows, n] times factor [n, width], the factor given as its columns' entries [n, n] of which `width` are used.
Tall combine(const Tall& from, const std::vector<double>& factor, std::int64_t width) {
  Tall made(from.rows, width);
  for (std::int64_t r = 0; r < from.rows; ++r)
    for (std::int64_t k = 0; k < from.width; ++k)
      for (std::int64_t j = 0; j < width; ++j) made.row(r)[j] += from.row(r)[k] * factor[k * from.width + j];
  return made;
}

}  // namespace

TruncatedSvd truncated_svd(const Histories& train, std::int64_t items, const SvdOptions& options, Communicator& ranks) {
  Side by_user, by_item;
  std::vector<std::int64_t> item_counts(static_cast<std::size_t>(items), 0);
  for (std::int64_t user = 0; user < train.users(); ++user) {
    const auto own = distinct_items(train.of(user));
    by_user.others.insert(by_user.others.end(), own.begin(), own.end());
    by_user.offsets.push_back(static_cast<std::int64_t>(by_user.others.size()));
    by_user.root.push_back(std::sqrt(static_cast<double>(own.size())));
    for (const std::int64_t item : own) ++item_counts[item];
  }
  by_item.others.resize(by_user.others.size());
  for (const std::int64_t count : item_counts) {
    by_item.offsets.push_back(by_item.offsets.back() + count);
    by_item.root.push_back(std::sqrt(static_cast<double>(count)));
  }
  std::vector<std::int64_t> place(by_item.offsets.begin(), by_item.offsets.end() - 1);
  for (std::int64_t user = 0; user < train.users(); ++user)
    for (std::int64_t e = by_user.offsets[user]; e < by_user.offsets[user + 1]; ++e)
      by_item.others[place[by_user.others[e]]++] = user;
  const auto all = static_cast<double>(std::max<std::size_t>(1, by_user.others.size()));

  const std::int64_t smaller = std::min(train.users(), items);
  const std::int64_t rank = std::min(options.rank, smaller);
  const std::int64_t width = std::min(rank + options.oversampling, smaller);
  Tall right(items, width);
  for (std::int64_t i = 0; i < items; ++i)
    for (std::int64_t j = 0; j < width; ++j)
      right.row(i)[j] = random::normal(random::bits(options.seed, random::purpose("svd test matrix"),
                                                    static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j)));
  Tall left = times(by_user, by_item, right, all, ranks);
  orthonormalise(left);
  for (std::int64_t step = 0; step < options.power_steps; ++step) {
    right = times(by_item, by_user, left, all, ranks);
    orthonormalise(right);
    left = times(by_user, by_item, right, all, ranks);
    orthonormalise(left);
  }
  right = times(by_item, by_user, left, all, ranks);  // the transpose of left^T A
  const Eigen eigen = symmetric_eigen(products(right, right), width);

  TruncatedSvd svd{.rank = rank, .values = {}, .users = {}, .items = {}};
  for (std::int64_t j = 0; j < width; ++j) {
    const double value = std::sqrt(std::max(0.0, eigen.values[j]));
    if (j < rank)
      svd.values.push_back(value);
    else if (j == rank)
      svd.next_value = value;
  }
  svd.users = combine(left, eigen.vectors, rank).values;
  svd.items = combine(right, eigen.vectors, rank).values;
  for (std::int64_t j = 0; j < rank; ++j) {
    double largest = 0;
    for (std::int64_t i = 0; i < items; ++i)
      if (std::abs(svd.items[i * rank + j]) > std::abs(largest)) largest = svd.items[i * rank + j];
    const double sign = largest < 0 ? -1 : 1, factor = svd.values[j] > 0 ? sign / svd.values[j] : 0;
    for (std::int64_t i = 0; i < items; ++i) svd.items[i * rank + j] *= factor;
    for (std::int64_t u = 0; u < train.users(); ++u) svd.users[u * rank + j] *= sign;
  }
  return svd;
}

}  // namespace swallowtail
