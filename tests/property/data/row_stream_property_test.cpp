// Rows that several threads read, block by block, are those that one reads alone, for files with quotes, blank lines
// and bad rows in every place.
#include "trainer/data/row_stream.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "kernels/random.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/text_blocks.h"

namespace swallowtail {
namespace {

using test::TemporaryDirectory;

std::string random_field(std::uint64_t bits) {
  switch (bits % 9) {
    case 0:
      return "";
    case 1:
      return "\"a \"\"quoted\"\" word\"";
    case 2:
      return "\"two\nlines\"";
    case 3:
      return "inner\"quote";
    case 4:
      return "\"\"";
    case 5:
      return bits % 5 == 0 ? "\"closed\"badly" : "plain";
    default:
      return fmt::format("w{}", bits % 1000);
  }
}

std::string random_csv(std::uint64_t seed, std::int64_t rows) {
  std::string text = "label,x,c\n";
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto draw = [&](std::uint64_t what) {
      return random::bits(seed, random::purpose("csv"), static_cast<std::uint64_t>(row), what);
    };
    const std::string end = draw(0) % 3 == 0 ? "\r\n" : "\n";
    if (draw(1) % 20 == 0)
      text += end;
    else if (draw(2) % 20 == 0)
      text += "1,too,many,fields" + end;
    else
      text += fmt::format("{},{},{}{}", draw(3) % 2, draw(4) % 15 == 0 ? "x" : fmt::format("{}", draw(4) % 100),
                          random_field(draw(5)), end);
  }
  return text;
}

std::string random_criteo(std::uint64_t seed, std::int64_t rows) {
  std::string text;
  for (std::int64_t row = 0; row < rows; ++row) {
    const auto draw = [&](std::uint64_t what) {
      return random::bits(seed, random::purpose("criteo"), static_cast<std::uint64_t>(row), what);
    };
    if (draw(100) % 30 == 0) text += draw(101) % 2 == 0 ? "\n" : "\r\n";
    if (draw(102) % 30 == 0) text += "1\t2\tshort\n";
    text += draw(103) % 40 == 0 ? "7" : "1";
    for (std::uint64_t field = 1; field < 40; ++field) {
      text += '\t';
      const std::uint64_t bits = draw(field);
      if (bits % 7 == 0) continue;
      if (field <= 13)
        text += bits % 300 == 0 ? "-" : fmt::format("{}", static_cast<std::int64_t>(bits % 5000) - 100);
      else
        text += bits % 400 == 0 ? "g0000000" : fmt::format("{:x}", bits >> (bits % 3 == 0 ? 32 : 20));
    }
    if (draw(104) % 50 == 0) text += "\tone more";
    text += draw(105) % 10 == 0 ? "\r\n" : "\n";
  }
  return text;
}

struct Seen {
  std::vector<std::string> rows;
  std::string quarantine;
  std::int64_t read = 0, bad = 0;
  bool operator==(const Seen&) const = default;
};

Seen read_all(const DataOptions& options, const std::filesystem::path& file, int threads, const std::string& where) {
  const auto source = make_source(options);
  FileGroup group{.key = "data.train", .files = {{file, 0, ""}}, .validation = 0.2, .seed = 3};
  group.files[0].bytes = static_cast<std::int64_t>(std::filesystem::file_size(file));
  const std::function<void()> tick = [] {};
  Seen seen;
  {
    BadRows bad_rows(where, options);
    RowStream rows(group, *source, bad_rows, threads, tick);
    rows.for_each([&](const RawRow& row, Part part, std::uint32_t) {
      std::string words = fmt::format("{} {} {}", row.line, row.label, static_cast<int>(part));
      for (const auto& number : row.numbers) words += number ? fmt::format(" {}", *number) : " -";
      for (const RawId& id : row.ids) words += fmt::format(" [{}]", id.text);
      for (const auto text : row.texts) words += fmt::format(" <{}>", text);
      seen.rows.push_back(words);
    });
    bad_rows.commit();
    seen.read = rows.rows_read();
    seen.bad = rows.rows_bad();
  }
  std::ifstream stream(where);
  seen.quarantine.assign(std::istreambuf_iterator<char>(stream), {});
  return seen;
}

TEST(RowStream, IsTheSameOnAnyNumberOfThreads) {
  TemporaryDirectory directory;
  DataOptions csv;
  csv.dense = {"x"};
  csv.categorical = {"c"};
  csv.text = {"c"};
  DataOptions criteo;
  criteo.source = "criteo_tsv";
  for (int i = 1; i <= 13; ++i) criteo.dense.push_back(fmt::format("I{}", i));
  for (int i = 1; i <= 26; ++i) criteo.categorical.push_back(fmt::format("C{}", i));
  csv.max_bad_fraction = criteo.max_bad_fraction = 1;
  for (std::uint64_t seed = 0; seed < 2; ++seed)
    for (const auto& [options, text] :
         {std::pair(&csv, random_csv(seed, 180'000)), std::pair(&criteo, random_criteo(seed, 15'000))}) {
      const auto file = directory.write("data", text);
      const auto where = (directory.path() / "quarantine.tsv").string();
      const Seen alone = read_all(*options, file, 1, where);
      EXPECT_GT(text.size(), 2 * kBlockBytes) << "too short to be divided";
      EXPECT_GT(alone.bad, 0);
      EXPECT_GT(alone.rows.size(), 1000U);
      EXPECT_EQ(std::ssize(alone.rows) + alone.bad, alone.read);
      for (const int threads : {2, 5}) {
        const Seen together = read_all(*options, file, threads, where);
        EXPECT_TRUE(together == alone) << options->source << ", seed " << seed << ", " << threads << " threads";
      }
    }
}

TEST(RowStream, EndsWithTheReadersErrorAfterTheRowsBeforeIt) {
  TemporaryDirectory directory;
  DataOptions options;
  options.categorical = {"c"};
  std::string text = "label,c\n";
  for (int row = 0; row < 300'000; ++row) text += "1,abcdef\n";
  const std::string good = text;
  text += "1,\"never closed\n" + good;
  const auto file = directory.write("data", text);
  const auto source = make_source(options);
  FileGroup group{.key = "data.train", .files = {{file, static_cast<std::int64_t>(text.size()), ""}}};
  const std::function<void()> tick = [] {};
  for (const int threads : {1, 3}) {
    BadRows bad_rows(directory.path() / "quarantine.tsv", options);
    RowStream rows(group, *source, bad_rows, threads, tick);
    std::int64_t seen = 0;
    try {
      rows.for_each([&](const RawRow&, Part, std::uint32_t) { ++seen; });
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_NE(std::string(error.what()).find(":300002:2"), std::string::npos) << error.what();
    }
    EXPECT_LE(seen, 300'000);
  }
}

}  // namespace
}  // namespace swallowtail
