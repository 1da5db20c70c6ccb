#include "trainer/data/row_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/random.h"
#include "trainer/data/ordered_work.h"
#include "trainer/data/text_blocks.h"

namespace swallowtail {
namespace {
constexpr std::int64_t kRowsPerTick = 1024;
constexpr auto kLeftOut = static_cast<std::uint8_t>(kPartNames.size());
}  // namespace

std::vector<Part> FileGroup::parts() const {
  std::vector<Part> all{part};
  if (validation > 0 || folds.is_on()) all.push_back(Part::validation);
  if (test > 0) all.push_back(Part::test);
  return all;
}

namespace {

/// Calls good() and bad() for the rows of a block, in order.
template <typename Good, typename Bad>
void read_block(RowReader& reader, const Good& good, const Bad& bad) {
  RawRow row;
  BadCell cell;
  while (true) {
    switch (reader.next(row, cell)) {
      case RowReader::Next::row:
        good(row);
        break;
      case RowReader::Next::bad:
        bad(std::move(cell));
        break;
      case RowReader::Next::end:
        return;
    }
  }
}

}  // namespace

void RowStream::count_first() {
  if (!was_read_ && group_.is_split_in_order && group_.parts().size() > 1)
    read_raw([](const RawRow&, Part, std::uint32_t) {});
  if (group_.folds.is_on() && fold_parts_.empty()) find_folds();
}

void RowStream::find_folds() {
  std::vector<std::uint8_t> parts;
  std::vector<std::uint64_t> groups;
  read_raw([&](const RawRow& row, Part part, std::uint32_t) {
    parts.push_back(static_cast<std::uint8_t>(part));
    groups.push_back(fold_group(row));
  });
  const auto folded = static_cast<std::uint8_t>(group_.part);
  Folds folds(group_.folds, std::ranges::count(parts, folded));
  for (std::size_t row = 0; row < parts.size(); ++row)
    if (parts[row] == folded) {
      const auto part = folds.part(groups[row]);
      parts[row] = part ? static_cast<std::uint8_t>(*part) : kLeftOut;
    }
  fold_parts_ = std::move(parts);
}

/// What Folds::part asks for.
std::uint64_t RowStream::fold_group(const RawRow& row) const {
  if (group_.folds.by == FoldBy::stratified) return row.label > 0.5F ? 1 : 0;
  if (group_.folds.by != FoldBy::user) return 0;
  const auto& features = source_.columns().features;
  const auto found = std::ranges::find(features, group_.folds.column, &RawFeature::name);
  if (found == features.end())
    throw Error{ExitCode::usage, fmt::format("'{}' is no column of ids", group_.folds.column), "evaluation.fold_column",
                "name a column of data.categorical: its values are the groups that stay together"};
  const auto feature = static_cast<std::size_t>(found - features.begin());
  std::uint64_t group = 0;
  for (const RawId& id : row.feature(feature))
    group =
        random::mix(group ^ (found->is_index ? static_cast<std::uint64_t>(id.index) + 1 : random::purpose(id.text)));
  return group;
}

void RowStream::for_each(const std::function<void(const RawRow&, Part, std::uint32_t)>& use) {
  count_first();
  read_raw(use);
}

void RowStream::read_raw(const std::function<void(const RawRow&, Part, std::uint32_t)>& use) {
  RawRow row;
  read<RowBlock<RawRows>>(
      [](const RowFormat& format, const TextBlock& text, RowBlock<RawRows>& block) {
        read_block(
            *format.read(text), [&](const RawRow& raw) { block.rows.add(raw); },
            [&](BadCell cell) {
              block.bad.push_back({block.rows.size(), std::move(cell)});
            });
      },
      [&](const RawRows& rows, std::size_t begin, std::size_t end, Part part, std::uint32_t file) {
        for (std::size_t i = begin; i < end; ++i) {
          rows.get(i, row);
          use(row, part, file);
        }
      });
}

void RowStream::for_each_encoded(const Encoding& encoding, const std::function<void(const EncodedRun&)>& use) {
  count_first();
  read<EncodedBlock>(
      [&](const RowFormat& format, const TextBlock& text, EncodedBlock& block) {
        if (format.encode(text, encoding, block)) return;
        EncodedRow encoded;
        read_block(
            *format.read(text),
            [&](const RawRow& raw) {
              encoding.encode(source_.columns(), raw, encoded);
              block.rows.add(encoded, raw.line);
            },
            [&](BadCell cell) {
              block.bad.push_back({block.rows.size(), std::move(cell)});
            });
      },
      [&](const EncodedRows& rows, std::size_t begin, std::size_t end, Part part, std::uint32_t file) {
        use({rows, begin, end, part, file});
      });
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

template <typename Block, typename Work, typename Use>
void RowStream::read(const Work& work, const Use& use) {
  std::int64_t rows = 0, bad = 0;
  for (std::size_t file = 0; file < group_.files.size(); ++file) {
    const auto& path = group_.files[file].path;
    const auto format = source_.format(path);
    TextBlocks blocks(path, *format);
    OrderedWork<Block> all(blocks, threads_, [&](const TextBlock& text, Block& block) {
      block.rows.clear();
      block.bad.clear();
      work(*format, text, block);
    });
    const auto count = [&] {
      if (++rows % kRowsPerTick == 0) tick_();
    };
    const auto part_of_next = [&] {
      return fold_parts_.empty() ? static_cast<std::uint8_t>(part_of(rows, rows - bad))
                                 : fold_parts_[static_cast<std::size_t>(rows - bad)];
    };
    while (const Block* const block = all.next()) {
      auto next_bad = block->bad.begin();
      for (std::size_t i = 0;;) {
        for (; next_bad != block->bad.end() && next_bad->rows_before == i; ++next_bad) {
          count();
          ++bad;
          if (!was_read_) bad_rows_.add(path, next_bad->cell);
        }
        if (i == block->rows.size()) break;
        const std::size_t stop = next_bad == block->bad.end() ? block->rows.size() : next_bad->rows_before;
        while (i < stop) {
          const std::uint8_t part = part_of_next();
          const std::size_t begin = i;
          do count();
          while (++i < stop && part_of_next() == part);
          if (part != kLeftOut) use(block->rows, begin, i, static_cast<Part>(part), static_cast<std::uint32_t>(file));
        }
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
