// What each source makes of lines written by hand, and what it says of bad ones.
#include "trainer/data/source.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "parallel/error.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/text_blocks.h"

namespace swallowtail {
namespace {

using test::TemporaryDirectory;

/// Every row in one line of words: "label weight | numbers | ids by feature", or "bad line:column 'value' reason".
std::vector<std::string> rows_in_blocks(const Source& source, const std::filesystem::path& file,
                                        std::size_t block_bytes) {
  std::vector<std::string> rows;
  const auto format = source.format(file);
  TextBlocks blocks(file, *format, block_bytes);
  OwnedBlock block;
  RawRow row;
  BadCell bad;
  std::unique_ptr<RowReader> reader;
  const auto next_row = [&] {
    while (true) {
      if (reader)
        if (const auto next = reader->next(row, bad); next != RowReader::Next::end) return next;
      if (!blocks.next(block)) return RowReader::Next::end;
      reader = format->read(block.block);
    }
  };
  for (auto next = next_row(); next != RowReader::Next::end; next = next_row()) {
    if (next == RowReader::Next::bad) {
      rows.push_back(fmt::format("bad {}:{} '{}' {}", bad.line, bad.column, bad.value, bad.reason));
      continue;
    }
    std::string words = fmt::format("{} {} |", row.label, row.weight);
    for (const auto& number : row.numbers) words += number ? fmt::format(" {}", *number) : " -";
    for (std::size_t f = 0; f < source.columns().features.size(); ++f) {
      words += " |";
      for (const auto& id : row.feature(f))
        words += source.columns().features[f].is_index ? fmt::format(" {}*{}", id.index, id.weight)
                                                       : fmt::format(" {}", id.text);
    }
    rows.push_back(words);
  }
  return rows;
}

/// The same in blocks of any size.
std::vector<std::string> rows_of(const DataOptions& options, std::string_view text) {
  TemporaryDirectory directory;
  const auto source = make_source(options);
  const auto file = directory.write("data", text);
  const auto rows = rows_in_blocks(*source, file, kBlockBytes);
  for (const std::size_t block_bytes : {1, 7, 64, 150}) EXPECT_EQ(rows_in_blocks(*source, file, block_bytes), rows);
  return rows;
}

using Rows = std::vector<std::string>;

TEST(CsvSource, ReadsWeightsAndLists) {
  DataOptions options;
  options.weight = "w";
  options.dense = {"x"};
  options.multi_hot = {"tags", "path"};
  options.positive_labels = {"yes", ">50K"};
  options.negative_labels = {"no"};
  options.columns["path"].separator = "::";
  options.columns["path"].max_ids = 2;
  EXPECT_EQ(
      rows_of(options,
              "w,x,tags,path,label\n2,1.5,a|b||c,u::v::w,yes\n\n0,?,|,?,no\n-1,1,,,no\nx,1,,,no\n,1,,,no\n1,1,,,maybe\n"
              "1,1,,,>50K\n"),
      (Rows{"1 2 | 1.5 | a b c | u v", "0 0 | - | |", "bad 5:1 '-1' sample weight is negative",
            "bad 6:1 'x' not a number", "bad 7:1 '' not a number",
            "bad 8:5 'maybe' label is in neither data.positive_labels nor data.negative_labels", "1 1 | 1 | |"}));
}

TEST(LibfmSource, ReadsLabelsIndicesAndValues) {
  DataOptions options;
  options.source = "libfm";
  EXPECT_EQ(
      rows_of(options,
              "1 3:0.5 7\r\n-1 0:-2\n0\n\n+1\t5:1 5:1 \n2 1:1\nx 1:1\n1 -1:1\n1 1.5:1\n1 1:nan\n1 1:\n1 "
              "99999999999999:1\n1 :1"),
      (Rows{"1 1 | | 3*0.5 7*1", "0 1 | | 0*-2", "0 1 | |", "1 1 | | 5*1 5*1", "bad 6:1 '2' label is none of 1, -1, 0",
            "bad 7:1 'x' label is none of 1, -1, 0", "bad 8:2 '-1:1' index is below 0",
            "bad 9:2 '1.5:1' index is not a whole number", "bad 10:2 '1:nan' value is not a finite number",
            "bad 11:2 '1:' value is not a number", "bad 12:2 '99999999999999:1' index is not below 1000000000000",
            "bad 13:2 ':1' index is not a whole number"}));
}

TEST(LibfmSource, GivesEachFieldItsIndices) {
  DataOptions options;
  options.source = "libfm";
  options.field_starts = {2, 10, 20};
  options.index_space = 30;
  EXPECT_EQ(rows_of(options, "1 25:1 2:1 10:1 9:4 19:1 20:3\n0 1:1\n0 30:1\n"),
            (Rows{"1 1 | | 2*1 9*4 | 10*1 19*1 | 25*1 20*3", "bad 2:2 '1:1' index is below 2",
                  "bad 3:2 '30:1' index is not below 30"}));
}

/// 40 fields: the label, then `cells` by field number, all others empty.
std::string criteo_line(const std::string& label, const std::map<int, std::string>& cells) {
  std::string line = label;
  for (int field = 1; field < 40; ++field) {
    const auto cell = cells.find(field);
    line += "\t" + (cell == cells.end() ? std::string() : cell->second);
  }
  return line + "\n";
}

TEST(CriteoSource, ReadsItsFieldsAndRefusesOthers) {
  DataOptions options;
  options.source = "criteo_tsv";
  options.dense = {"I2", "I13"};
  options.categorical = {"C26", "C1"};
  const std::string good = criteo_line("1", {{2, "-3"}, {14, "68fd1e64"}, {39, "A0"}});
  EXPECT_EQ(rows_of(options, good + criteo_line("2", {}) + criteo_line("0", {{1, "1.5"}}) +
                                 criteo_line("0", {{20, "xyz"}}) + criteo_line("0", {{20, "12345678901234567"}}) +
                                 "0\t1\n" + good.substr(0, good.size() - 1) + "\tmore\n"),
            (Rows{"1 1 | -3 - | A0 | 68fd1e64", "bad 2:1 '2' label is neither 0 nor 1",
                  "bad 3:2 '1.5' not a whole number", "bad 4:21 'xyz' not a category of at most 16 hexadecimal digits",
                  "bad 5:21 '12345678901234567' not a category of at most 16 hexadecimal digits",
                  "bad 6:2 '1' fewer than 40 fields", "bad 7:40 'A0' more than 40 fields"}));
  options.dense = {"I14"};
  EXPECT_THROW(make_source(options), Error);
}

TEST(Sources, AreFoundByName) {
  for (const auto& entry : sources()) EXPECT_FALSE(entry.meaning.empty()) << entry.name;
  DataOptions options;
  options.source = "cvs";
  try {
    make_source(options);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(error.advice(), "did you mean 'csv'?");
  }
}

}  // namespace
}  // namespace swallowtail
