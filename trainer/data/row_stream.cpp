#include "trainer/data/row_stream.h"

#include <fmt/format.h>

#include <cmath>

#include "kernels/random.h"

namespace swallowtail {
namespace {
constexpr std::int64_t kRowsPerTick = 1024;
}

std::vector<Part> FileGroup::parts() const {
  std::vector<Part> all{part};
  if (validation > 0) all.push_back(Part::validation);
  if (test > 0) all.push_back(Part::test);
  return all;
}

void RowStream::for_each(const std::function<void(const RawRow&, Part, std::uint32_t)>& use) {
  if (!was_read_ && group_.is_split_in_order && group_.parts().size() > 1)
    read([](const RawRow&, Part, std::uint32_t) {});
  read(use);
}

/// Random shares go by the number of the row among all rows, so that mending a bad row moves no other one.
Part RowStream::part_of(std::int64_t row, std::int64_t good_row) const {
  if (group_.validation == 0 && group_.test == 0) return group_.part;
  if (group_.is_split_in_order) {
    const auto good = static_cast<double>(rows_read_ - rows_bad_);
    const auto test = std::llround(good * group_.test), validation = std::llround(good * group_.validation);
    const std::int64_t from_end = rows_read_ - rows_bad_ - good_row;
    return from_end <= test ? Part::test : from_end <= test + validation ? Part::validation : group_.part;
  }
  const double draw =
      random::uniform(random::bits(group_.seed, random::purpose("data split"), static_cast<std::uint64_t>(row)));
  return draw < group_.validation                 ? Part::validation
         : draw < group_.validation + group_.test ? Part::test
                                                  : group_.part;
}

void RowStream::read(const std::function<void(const RawRow&, Part, std::uint32_t)>& use) {
  std::int64_t rows = 0, bad = 0;
  RawRow row;
  BadCell cell;
  for (std::size_t file = 0; file < group_.files.size(); ++file) {
    const auto& path = group_.files[file].path;
    const auto reader = source_.open(path);
    while (true) {
      const auto next = reader->next(row, cell);
      if (next == RowReader::Next::end) break;
      if (++rows % kRowsPerTick == 0) tick_();
      if (next == RowReader::Next::row) {
        use(row, part_of(rows - 1, rows - 1 - bad), static_cast<std::uint32_t>(file));
      } else {
        ++bad;
        if (!was_read_) bad_rows_.add(path, cell);
      }
    }
  }
  check_unchanged(group_.files);
  const auto& first = group_.files.front().path;
  if (was_read_ && (rows != rows_read_ || bad != rows_bad_))
    throw Error{ExitCode::data, fmt::format("the files of {} changed while they were read", group_.key), first.string(),
                "start again when nothing writes to them"};
  if (rows == 0)
    throw Error{ExitCode::data, fmt::format("{} holds no rows", group_.key), first.string(), "name files with rows"};
  if (!was_read_) bad_rows_.check_fraction(rows, bad);
  if (rows == bad)
    throw Error{ExitCode::data, fmt::format("every row of {} is bad", group_.key), first.string(),
                "see quarantine.tsv"};
  rows_read_ = rows;
  rows_bad_ = bad;
  was_read_ = true;
}

}  // namespace swallowtail
