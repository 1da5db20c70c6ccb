// The order in which a table's rows are dealt out in blocks: as they stand, or spread like a hash so that the hot rows,
// which often have neighbouring ids, do not meet on one rank.
#pragma once

#include <cstdint>

namespace swallowtail {

/// A bijection of [0, rows) with itself: position(row) = row * factor mod rows, factor prime to rows.
class RowOrder {
 public:
  RowOrder() = default;
  static RowOrder as_they_stand(std::int64_t rows) { return RowOrder(rows); }
  /// `factor` is near rows / golden ratio: neighbours land far apart (Knuth, TAOCP 3, 6.4, multiplicative hashing).
  static RowOrder hashed(std::int64_t rows);

  bool is_identity() const noexcept { return factor_ == 1; }
  std::int64_t position(std::int64_t row) const noexcept { return is_identity() ? row : times(row, factor_); }
  std::int64_t row_at(std::int64_t position) const noexcept {
    return is_identity() ? position : times(position, inverse_);
  }
  bool operator==(const RowOrder&) const = default;

 private:
  explicit RowOrder(std::int64_t rows) : rows_(rows) {}
  std::int64_t times(std::int64_t value, std::int64_t factor) const noexcept {
    if (rows_ <= std::int64_t{1} << 31)  // the product fits
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(value) * static_cast<std::uint64_t>(factor) %
                                       static_cast<std::uint64_t>(rows_));
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::int64_t>(static_cast<Wide>(value) * static_cast<Wide>(factor) % static_cast<Wide>(rows_));
  }

  std::int64_t rows_ = 0, factor_ = 1, inverse_ = 1;
};

}  // namespace swallowtail
