// The rows of some files as one stream that can be read again, and the part that each belongs to.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/bad_rows.h"
#include "trainer/data/folds.h"
#include "trainer/data/input_files.h"
#include "trainer/data/row_blocks.h"
#include "trainer/data/source.h"

namespace swallowtail {

constexpr std::array<std::string_view, 3> kPartNames{"train", "validation", "test"};

/// Files of one key of the experiment, and the parts that their rows are divided into.
struct FileGroup {
  std::string key;  // "data.train"
  std::vector<InputFile> files;
  Part part = Part::train;          // of every row that the shares below do not give to another part
  double validation = 0, test = 0;  // shares
  bool is_split_in_order = false;
  std::uint64_t seed = 0;
  FoldOptions folds{};  // of the rows that the shares leave to `part`

  std::vector<Part> parts() const;
};

/// Rows [begin, end) of a block, which belong to the same part.
struct EncodedRun {
  const EncodedRows& rows;
  std::size_t begin, end;
  Part part;
  std::uint32_t file;
};

class RowStream {
 public:
  /// threads: parse and encode at once, at least 1; what the calls below see does not depend on them.
  RowStream(const FileGroup& group, const Source& source, BadRows& bad_rows, int threads,
            const std::function<void()>& tick)
      : group_(group), source_(source), bad_rows_(bad_rows), threads_(threads), tick_(tick) {}

  /// Calls use(row, part, file) for every good row, in order. The first time, bad rows go to BadRows and are held
  /// against data.max_bad_fraction; later they are passed over. A split in order needs a first time of its own, which
  /// is made where nobody has counted yet, and so do folds, which keep a byte a row. Rows that they leave out are
  /// passed over. Errors: as Source; ExitCode::data where there is no good row, or a later reading finds other rows.
  void for_each(const std::function<void(const RawRow& row, Part part, std::uint32_t file)>& use);
  /// The same with rows that are encoded already, and as many at a time as stand together.
  void for_each_encoded(const Encoding& encoding, const std::function<void(const EncodedRun& run)>& use);

  std::int64_t rows_read() const noexcept { return rows_read_; }  // good and bad; after the first time
  std::int64_t rows_bad() const noexcept { return rows_bad_; }

 private:
  void count_first();
  void find_folds();
  void read_raw(const std::function<void(const RawRow&, Part, std::uint32_t)>& use);
  /// Block: a RowBlock. work(format, text, block) fills it, use(rows, begin, end, part, file) sees its good rows in
  /// order.
  template <typename Block, typename Work, typename Use>
  void read(const Work& work, const Use& use);
  Part part_of(std::int64_t row, std::int64_t good_row) const;
  std::uint64_t fold_group(const RawRow& row) const;

  const FileGroup& group_;
  const Source& source_;
  BadRows& bad_rows_;
  int threads_;
  const std::function<void()>& tick_;
  bool was_read_ = false;
  std::int64_t rows_read_ = 0, rows_bad_ = 0;
  std::vector<std::uint8_t> fold_parts_;  // [good rows] a Part, or one more: left out; empty: no folds
};

}  // namespace swallowtail
