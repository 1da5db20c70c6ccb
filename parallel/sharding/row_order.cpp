#include "parallel/sharding/row_order.h"

#include <numeric>
#include <utility>

namespace swallowtail {

RowOrder RowOrder::hashed(std::int64_t rows) {
  RowOrder order(rows);
  if (rows < 4) return order;
  std::int64_t factor = static_cast<std::int64_t>(static_cast<double>(rows) * 0.6180339887498949);
  while (std::gcd(factor, rows) != 1) ++factor;
  order.factor_ = factor;
  // The inverse by the extended Euclidean algorithm.
  std::int64_t old_remainder = factor, remainder = rows, old_coefficient = 1, coefficient = 0;
  while (remainder != 0) {
    const std::int64_t quotient = old_remainder / remainder;
    old_remainder = std::exchange(remainder, old_remainder - quotient * remainder);
    old_coefficient = std::exchange(coefficient, old_coefficient - quotient * coefficient);
  }
  order.inverse_ = old_coefficient < 0 ? old_coefficient + rows : old_coefficient;
  return order;
}

}  // namespace swallowtail
