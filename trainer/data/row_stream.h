// The rows of some files as one stream that can be read again, and the part that each belongs to.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/bad_rows.h"
#include "trainer/data/input_files.h"
#include "trainer/data/source.h"

namespace swallowtail {

enum class Part : std::uint8_t { train, validation, test };
constexpr std::array<std::string_view, 3> kPartNames{"train", "validation", "test"};

/// Files of one key of the experiment, and the parts that their rows are divided into.
struct FileGroup {
  std::string key;  // "data.train"
  std::vector<InputFile> files;
  Part part = Part::train;          // of every row that the shares below do not give to another part
  double validation = 0, test = 0;  // shares
  bool is_split_in_order = false;
  std::uint64_t seed = 0;

  std::vector<Part> parts() const;
};

class RowStream {
 public:
  RowStream(const FileGroup& group, const Source& source, BadRows& bad_rows, const std::function<void()>& tick)
      : group_(group), source_(source), bad_rows_(bad_rows), tick_(tick) {}

  /// Calls use(row, part, file, line-of-row is in the row) for every good row, in order. The first time, bad rows go to
  /// BadRows and are held against data.max_bad_fraction; later they are passed over. A split in order needs a first
  /// time of its own, which for_each makes where nobody has counted yet. Errors: as Source; ExitCode::data where there
  /// is no good row, or a later reading finds other rows.
  void for_each(const std::function<void(const RawRow& row, Part part, std::uint32_t file)>& use);

  std::int64_t rows_read() const noexcept { return rows_read_; }  // good and bad; after the first time
  std::int64_t rows_bad() const noexcept { return rows_bad_; }

 private:
  void read(const std::function<void(const RawRow&, Part, std::uint32_t)>& use);
  Part part_of(std::int64_t row, std::int64_t good_row) const;

  const FileGroup& group_;
  const Source& source_;
  BadRows& bad_rows_;
  const std::function<void()>& tick_;
  bool was_read_ = false;
  std::int64_t rows_read_ = 0, rows_bad_ = 0;
};

}  // namespace swallowtail
