// The rows of one block of text, as they were read or encoded, apart from the text and the reader that they came from.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/huge_pages.h"
#include "trainer/data/encoding.h"
#include "trainer/data/source.h"

namespace swallowtail {

/// A bad row, and how many good ones of its block come before it.
struct BadRow {
  std::size_t rows_before = 0;
  BadCell cell;
};

/// Raw rows with texts of their own.
class RawRows {
 public:
  void clear();
  void add(const RawRow& row);
  std::size_t size() const noexcept { return rows_.size(); }
  /// Fills `out`, whose views are valid as long as the rows are.
  void get(std::size_t row, RawRow& out) const;

 private:
  struct Row {
    std::int64_t line;
    float label, weight;
    std::size_t ids_end;
  };
  struct Id {
    std::size_t text_end;
    std::int64_t index;
    float weight;
  };
  std::vector<Row> rows_;
  std::vector<std::optional<double>> numbers_;  // [rows, numbers]
  std::vector<Id> ids_;
  std::vector<std::size_t> ends_;       // [rows, features], as RawRow's
  std::vector<std::size_t> text_ends_;  // [rows, texts] in texts_
  std::vector<char> words_, texts_;     // of the ids; of the columns of text
  std::size_t numbers_each_ = 0, features_ = 0, texts_each_ = 0;
};

/// Encoded rows, one after another in each of a few arrays: behind the dense values and the ids of at(row) stand those
/// of at(row + 1).
class EncodedRows {
  friend class OneHotRows;

 public:
  void clear();
  void add(const EncodedRow& row, std::int64_t line);
  std::size_t size() const noexcept { return rows_.size(); }
  EncodedView at(std::size_t row) const;
  std::int64_t line(std::size_t row) const { return rows_[row].line; }
  float label(std::size_t row) const { return rows_[row].label; }

 private:
  struct Row {
    std::int64_t line;
    float label, weight;
    std::size_t ids_end;
  };
  std::vector<Row> rows_;
  HugeVector<float> dense_;  // room for rows to come is not filled with zeros first
  HugeVector<std::int64_t> ids_;
  std::vector<float> id_weights_;
  std::vector<std::size_t> ends_;
  std::size_t dense_each_ = 0, features_ = 0;
};

/// A block's rows, raw or encoded, and the bad ones among them.
template <typename Rows>
struct RowBlock {
  Rows rows;
  std::vector<BadRow> bad;
};
struct EncodedBlock : RowBlock<EncodedRows> {};

/// Fills empty EncodedRows with rows of one id for each feature, in place.
class OneHotRows {
 public:
  /// At most `most` rows will come.
  OneHotRows(EncodedRows& rows, std::size_t most, std::size_t dense, std::size_t features);
  ~OneHotRows();  // takes back the room that was not used
  OneHotRows(const OneHotRows&) = delete;
  OneHotRows& operator=(const OneHotRows&) = delete;
  std::size_t size() const noexcept { return rows_.rows_.size(); }
  /// Where the next row's values go; finish() makes them a row.
  float* dense() noexcept { return rows_.dense_.data() + size() * rows_.dense_each_; }
  std::int64_t* ids() noexcept { return rows_.ids_.data() + size() * rows_.features_; }
  void finish(std::int64_t line, float label);

 private:
  EncodedRows& rows_;
};

}  // namespace swallowtail
