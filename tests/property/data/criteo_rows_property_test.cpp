// The short way from Criteo's lines to encoded rows gives what reading them field by field and encoding each row give,
// bad rows included, for lines of every kind and under every instruction set.
#include "trainer/data/criteo_rows.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "tests/property/draws.h"
#include "tests/unit/kernels/every_isa.h"
#include "trainer/data/row_blocks.h"

namespace swallowtail {
namespace {

using namespace criteo;

using test::Draws;

std::string draw_integer(Draws& draw) {
  std::uint64_t most = 1;  // so that every number of digits is as likely
  for (std::uint64_t digits = draw(11); digits > 0; --digits) most *= 10;
  return most == 1 ? "" : fmt::format("{}{}", draw(10) == 0 ? "-" : "", draw(most));
}

/// What a field may hold beside the usual: taken or not, but never by the short way.
std::string odd_field(Draws& draw) {
  constexpr std::array<std::string_view, 16> kOdd{
      "-",  "+7",        "123456789",        "9999999999", " 12", "0x1f", "1.5", "-0",
      "ab", "0123abcdg", "0123456789abcdef", "ffffffff0",  "\r",  "'",    "/:",  "99999999999999999999"};
  return std::string(kOdd[draw(kOdd.size())]);
}

/// Lines of which one in `odd_one_in` is out of the ordinary somehow; 0: none.
std::string draw_text(std::uint64_t seed, std::int64_t lines, std::uint64_t odd_one_in) {
  Draws draw(seed, "criteo rows");
  std::string text = draw(3) == 0 ? "\xef\xbb\xbf" : "";
  for (std::int64_t line = 0; line < lines; ++line) {
    const std::uint64_t odd = odd_one_in > 0 && draw(odd_one_in) == 0 ? 1 + draw(6) : 0;
    if (odd == 1) text += draw(2) == 0 ? "\n" : "\r\n";
    const std::size_t fields = odd == 2 ? draw(kFields) : odd == 3 ? kFields + 1 + draw(50) : kFields;
    const std::size_t odd_place = odd == 4 || odd == 5 ? draw(kFields) : kFields;
    text += odd_place == 0 ? odd_field(draw) : std::string(draw(2) == 0 ? "0" : "1");
    for (std::size_t f = 1; f < fields; ++f) {
      text += '\t';
      if (f == odd_place)
        text += odd_field(draw);
      else if (f <= kIntegers)
        text += draw_integer(draw);
      else if (draw(8) > 0)
        text += fmt::format("{:08x}", draw(50) == 0 ? 0U : static_cast<std::uint32_t>(draw(~0ULL)));
    }
    if (odd == 6) text[text.size() - 1 - draw(std::min<std::size_t>(text.size(), 200))] = static_cast<char>(draw(256));
    text += draw(5) == 0 ? "\r\n" : "\n";
  }
  if (draw(2) == 0) text.pop_back();
  return text;
}

struct Case {
  CriteoColumns columns;
  RawColumns raw;
  Encoding encoding;
};

/// Columns and their encodings: `kind` 0 as the benchmark has them, else mixed.
Case draw_case(std::uint64_t kind) {
  Case of;
  Draws draw(77 + kind, "criteo rows");
  std::vector<std::size_t> numbers(kIntegers), features(kCategories);
  for (std::size_t i = 0; i < kIntegers; ++i) numbers[i] = 1 + i;
  for (std::size_t c = 0; c < kCategories; ++c) features[c] = 1 + kIntegers + c;
  if (kind > 1) {
    std::ranges::reverse(numbers);
    numbers.resize(draw(kIntegers));
    std::rotate(features.begin(), features.begin() + 5, features.end());
    features.resize(1 + draw(kCategories - 1));
  }
  for (const std::size_t number : numbers) {
    of.columns.numbers.push_back(number);
    of.raw.numbers.push_back(fmt::format("I{}", number));
    DenseColumn column{.name = of.raw.numbers.back(), .normalize = Normalize::log};
    if (kind > 0) column.normalize = std::array{Normalize::log, Normalize::none, Normalize::standard}[draw(3)];
    column.mean = 3;
    column.deviation = 7;
    of.encoding.dense.push_back(column);
  }
  for (const std::size_t feature : features) {
    of.columns.features.push_back(feature);
    of.raw.features.push_back({.name = fmt::format("C{}", feature)});
    IdColumn column{.name = of.raw.features.back().name, .kind = IdColumn::Kind::hash};
    column.hash_seed = feature;
    column.buckets = 1'000'000;
    if (kind > 0) {
      column.buckets = std::array<std::int64_t, 4>{1, 2, 1000, (std::int64_t{1} << 32) - 1}[draw(4)];
      column.modulus = kind > 2 ? std::array<std::int64_t, 4>{0, 1, 97, (std::int64_t{1} << 32) - 1}[draw(4)] : 0;
      if (draw(4) == 0) {
        column.kind = IdColumn::Kind::vocabulary;
        column.missing_row = 1;
        column.vocabulary = Vocabulary({"00000000", "0123abcd", "ab"});
      }
    }
    of.encoding.features.push_back(std::move(column));
  }
  return of;
}

/// All that a block gives, in words.
std::vector<std::string> words_of(const EncodedBlock& block) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < block.rows.size(); ++i) {
    const EncodedView row = block.rows.at(i);
    words.push_back(fmt::format("{}: {} {} | {} | {} | {}", block.rows.line(i), row.label, row.weight,
                                fmt::join(row.dense, " "), fmt::join(row.ids, " "), fmt::join(row.ends, " ")));
    EXPECT_EQ(block.rows.label(i), row.label);
  }
  for (const BadRow& bad : block.bad)
    words.push_back(fmt::format("{} before {}:{} '{}' {}", bad.rows_before, bad.cell.line, bad.cell.column,
                                bad.cell.value, bad.cell.reason));
  return words;
}

EncodedBlock field_by_field(const Case& of, const TextBlock& text) {
  EncodedBlock block;
  const auto reader = read_criteo(of.columns, text);
  RawRow raw;
  BadCell bad;
  EncodedRow row;
  for (auto next = reader->next(raw, bad); next != RowReader::Next::end; next = reader->next(raw, bad)) {
    if (next == RowReader::Next::bad) {
      block.bad.push_back({block.rows.size(), bad});
      continue;
    }
    of.encoding.encode(of.raw, raw, row);
    block.rows.add(row, raw.line);
  }
  return block;
}

void expect_equal(const Case& of, const TextBlock& text, const std::string& where) {
  const auto expected = words_of(field_by_field(of, text));
  for (Isa isa = Isa::scalar; isa <= best_isa(); isa = static_cast<Isa>(static_cast<int>(isa) + 1)) {
    const UsesIsa use(isa);
    EncodedBlock block;
    ASSERT_TRUE(encode_criteo(of.columns, text, of.encoding, block));
    const auto found = words_of(block);
    ASSERT_EQ(found.size(), expected.size()) << where << ", " << name_of(isa);
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], expected[i]) << where << ", " << name_of(isa);
  }
}

TEST(CriteoRows, AreThoseThatReadingFieldByFieldGives) {
  for (std::uint64_t seed = 0; seed < 40; ++seed)
    for (const std::uint64_t odd_one_in : {0, 1, 4, 40, 400}) {
      const std::string text = draw_text(seed, 30 + static_cast<std::int64_t>(seed * 11), odd_one_in);
      const Case of = draw_case(seed % 8);
      const std::string where = fmt::format("seed {}, one line in {} odd", seed, odd_one_in);
      expect_equal(of, {.text = text}, where);
      expect_equal(of, {.text = text, .lines_before = 5}, where);
    }
}

TEST(CriteoRows, OfACutLineAreBad) {
  const std::string text = draw_text(3, 1, 0);
  const Case of = draw_case(0);
  EncodedBlock block;
  ASSERT_TRUE(encode_criteo(of.columns, {.text = text, .is_cut = true}, of.encoding, block));
  EXPECT_EQ(block.rows.size(), 0U);
  ASSERT_EQ(block.bad.size(), 1U);
  EXPECT_EQ(block.bad[0].cell.reason, "line longer than 100 MiB");
  expect_equal(of, {.text = text, .is_cut = true}, "cut");
}

}  // namespace
}  // namespace swallowtail
