#include "trainer/data/csv_reader.h"

#include <gtest/gtest.h>

#include "parallel/error.h"
#include "tests/unit/data/temporary_directory.h"

namespace swallowtail {
namespace {

using test::TemporaryDirectory;
using Rows = std::vector<std::vector<std::string>>;

struct Read {
  Rows rows;
  std::vector<std::int64_t> lines;
  std::vector<std::string> faults;
};

Read read(std::string_view text, char delimiter = ',', std::size_t limit = kMaxLineBytes) {
  TemporaryDirectory directory;
  CsvReader reader(directory.write("t.csv", text), delimiter, limit);
  Read result;
  CsvRecord record;
  while (reader.next(record)) {
    result.rows.emplace_back(record.fields.begin(), record.fields.end());
    result.lines.push_back(record.line);
    result.faults.push_back(record.fault);
  }
  return result;
}

TEST(CsvReader, ReadsRfc4180) {
  EXPECT_EQ(read("a,b\n1,2\n").rows, (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(read("a,b\r\n1,2\r\n").rows, (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(read("a,b\n1,2").rows, (Rows{{"a", "b"}, {"1", "2"}})) << "no last line feed";
  EXPECT_EQ(read("\xef\xbb\xbf"
                 "a,b\n")
                .rows,
            (Rows{{"a", "b"}}))
      << "byte order mark";
  EXPECT_EQ(read(",,\n").rows, (Rows{{"", "", ""}}));
  EXPECT_EQ(read("\"a,b\",\"c\"\"d\",\"\"\n").rows, (Rows{{"a,b", "c\"d", ""}}));
  EXPECT_EQ(read("\"a\",\n").rows, (Rows{{"a", ""}}));
  EXPECT_EQ(read("5\" pipe,x\n").rows, (Rows{{"5\" pipe", "x"}}))
      << "a quote inside an unquoted field stands for itself";
  EXPECT_EQ(read("").rows, Rows{});
  EXPECT_EQ(read("\n").rows, (Rows{{""}}));
}

TEST(CsvReader, KeepsQuotedLineBreaksAndCountsLines) {
  const Read result = read("\"a\nb\",1\n\"c\r\n\r\nd\",2\nlast,3\n");
  EXPECT_EQ(result.rows, (Rows{{"a\nb", "1"}, {"c\r\n\r\nd", "2"}, {"last", "3"}}));
  EXPECT_EQ(result.lines, (std::vector<std::int64_t>{1, 3, 6}));
}

TEST(CsvReader, FindsTheDelimiter) {
  EXPECT_EQ(read("a\tb,c\td\n", '\0').rows, (Rows{{"a", "b,c", "d"}}));
  EXPECT_EQ(read("\"a;;;\",b\n", '\0').rows, (Rows{{"a;;;", "b"}}));
  EXPECT_EQ(read("single\n1\n", '\0').rows, (Rows{{"single"}, {"1"}}));
}

TEST(CsvReader, NamesWhatIsNoRecord) {
  EXPECT_EQ(read("a\n\"b\"x,c\nd\n").faults, (std::vector<std::string>{"", "text after a closing quote", ""}));
  EXPECT_EQ(read(std::string_view("a\nb\0c\nd\n", 8)).faults,
            (std::vector<std::string>{"", "NUL byte in a field", ""}));
  const Read longer = read("a\n" + std::string(600'000, 'x') + ",y\nb\n", ',', 1000);
  EXPECT_EQ(longer.faults, (std::vector<std::string>{"", "line longer than 1000 bytes", ""}));
  EXPECT_EQ(longer.rows[2], std::vector<std::string>{"b"}) << "reading goes on behind the long line";
}

TEST(CsvReader, RefusesAQuoteThatIsNeverClosed) {
  for (const std::string text : {"a,b\n1,\"2\n3,4\n", "a,\"b", "\"\n", "\"\"\""}) try {
      read(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_EQ(error.fact(), "a quoted field is never closed");
    }
  EXPECT_THROW(read("\"" + std::string(500, '\n') + "\"\n", ',', 100), Error) << "memory is bounded inside quotes too";
}

TEST(CsvReader, ReadsLinesLongerThanItsBuffer) {
  const std::string field(1'000'000, 'z');
  EXPECT_EQ(read("a," + field + "\nb,c\n").rows, (Rows{{"a", field}, {"b", "c"}}));
}

}  // namespace
}  // namespace swallowtail
