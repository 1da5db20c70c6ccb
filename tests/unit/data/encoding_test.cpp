#include "trainer/data/encoding_learner.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/random.h"
#include "trainer/data/parse_number.h"

namespace swallowtail {
namespace {

std::vector<ValueCount> counted(std::vector<std::pair<double, std::int64_t>> pairs) {
  std::vector<ValueCount> values;
  for (const auto& [value, count] : pairs) values.push_back({value, count});
  return values;
}

TEST(BinEdges, AreQuantilesWithLinearInterpolation) {
  std::vector<ValueCount> ten;
  for (int i = 1; i <= 10; ++i) ten.push_back({static_cast<double>(i), 1});
  EXPECT_EQ(bin_edges(ten, 4, false),
            (std::vector<double>{3.25, 5.5, 7.75}));  // numpy.quantile(range(1, 11), [.25, .5, .75])
  const auto mostly_zero = counted({{0, 6}, {1, 1}, {2, 1}, {3, 1}, {4, 1}});
  EXPECT_EQ(bin_edges(mostly_zero, 4, false), (std::vector<double>{1.75}));
  EXPECT_EQ(bin_edges(mostly_zero, 4, true), (std::vector<double>{1, 2, 3}));
  EXPECT_TRUE(has_majority_value(mostly_zero));
  EXPECT_FALSE(has_majority_value(counted({{0, 5}, {1, 5}})));
}

TEST(BinEdges, GiveEachOfFewValuesItsOwnBin) {
  EXPECT_EQ(bin_edges(counted({{1, 5}, {2, 1}, {7, 1}}), 3, false), (std::vector<double>{2, 7}));
  EXPECT_EQ(bin_edges(counted({{1, 5}}), 3, false), std::vector<double>{});
  EXPECT_EQ(bin_edges({}, 3, false), std::vector<double>{});
}

TEST(ValueSample, IsExactToItsLimitAndASampleBeyondIt) {
  ValueSample exact(100);
  for (std::int64_t row = 0; row < 10'000; ++row) exact.add(static_cast<double>(row % 100), row);
  const auto values = exact.sorted();
  ASSERT_EQ(values.size(), 100U);
  for (const auto& value : values) EXPECT_EQ(value.count, 100);

  ValueSample sampled(1000);
  for (std::int64_t row = 0; row < 100'000; ++row) sampled.add(static_cast<double>(row), row);
  const auto some = sampled.sorted();
  EXPECT_LE(some.size(), 1000U);
  EXPECT_GE(some.size(), 400U);
  EXPECT_NEAR(some[some.size() / 2].value, 50'000, 8000);  // about 5 standard deviations of a median of 500
}

TEST(ValueSample, KeepsSharesOfRowsBeyondItsLimit) {
  ValueSample sampled(1000);  // nine rows of ten are 0
  for (std::int64_t row = 0; row < 100'000; ++row) sampled.add(row % 10 ? 0.0 : static_cast<double>(row), row);
  EXPECT_TRUE(has_majority_value(sampled.sorted()));
}

TEST(DenseColumn, TransformsAsStated) {
  DenseColumn column{.name = "x", .normalize = Normalize::none, .mean = 3, .deviation = 2};
  EXPECT_EQ(column.encode(5), 5);
  EXPECT_EQ(column.encode({}), 3);
  column.normalize = Normalize::log;
  EXPECT_FLOAT_EQ(column.encode(std::exp(2.0) - 1), 2);
  EXPECT_EQ(column.encode(-7), 0);
  EXPECT_EQ(column.encode({}), 0);
  column.normalize = Normalize::standard;
  EXPECT_EQ(column.encode(7), 2);
  EXPECT_EQ(column.encode({}), 0);
  column.deviation = 1e-30;
  EXPECT_EQ(column.encode(1e30), std::numeric_limits<float>::max()) << "never infinite";
}

TEST(DenseColumn, RanksByMidRank) {
  DenseColumn column{.name = "x", .normalize = Normalize::quantile};
  rank_knots(counted({{1, 2}, {2, 1}, {3, 1}}), column.knots, column.ranks);
  EXPECT_EQ(column.ranks, (std::vector<double>{0.25, 0.625, 0.875}));
  EXPECT_EQ(column.encode(1), -0.5F);
  EXPECT_EQ(column.encode(1.5), -0.125F);
  EXPECT_EQ(column.encode(2), 0.25F);
  EXPECT_EQ(column.encode(-100), -0.5F);
  EXPECT_EQ(column.encode(100), 0.75F);
  EXPECT_EQ(column.encode({}), 0);
}

TEST(DenseColumn, RanksManyValuesByFewKnots) {
  std::vector<ValueCount> values;
  for (int i = 0; i < 100'000; ++i) values.push_back({i * 1.0, 1});
  DenseColumn column{.name = "x", .normalize = Normalize::quantile};
  rank_knots(values, column.knots, column.ranks);
  EXPECT_LE(column.knots.size(), 1002U);
  EXPECT_EQ(column.knots.front(), 0);
  EXPECT_EQ(column.knots.back(), 99'999);
  for (int i = 0; i < 100'000; i += 997) EXPECT_NEAR(column.encode(i), 2 * (i + 0.5) / 100'000 - 1, 1e-6);
}

TEST(Words, ComeByCountThenByBytes) {
  EXPECT_EQ(ordered_words({{"b", 2}, {"a", 2}, {"rare", 1}, {"c", 9}}, 2), (std::vector<std::string>{"c", "a", "b"}));
}

// Values of a second implementation, in Python.
TEST(HashText, IsTheSameEverywhere) {
  EXPECT_EQ(hash_text("", 0), 0xa706dd2f4d197e6fULL);
  EXPECT_EQ(hash_text("a", 0), 0xed673babe737fe57ULL);
  EXPECT_EQ(hash_text("a", 1), 0x9e80a35248cb6cd7ULL);
  EXPECT_EQ(hash_text("68fd1e64", 7), 0xd88d0732b8224c72ULL);
  EXPECT_EQ(hash_text("longer than eight bytes", 7), 0x8e0f987ecdb36aafULL);
}

TEST(HashColumn, SpreadsCategoriesAndKeepsMissingApart) {
  IdColumn column;
  column.kind = IdColumn::Kind::hash;
  column.rows = column.buckets = 101;
  std::vector<double> counts(101);
  for (int i = 0; i < 100'000; ++i) ++counts[static_cast<std::size_t>(column.row_of({.text = fmt::format("{:x}", i)}))];
  EXPECT_EQ(counts[0], 0) << "row 0 is for missing values";
  EXPECT_EQ(column.row_of_missing(), 0);
  double chi_square = 0;
  for (std::size_t row = 1; row < 101; ++row) chi_square += (counts[row] - 1000) * (counts[row] - 1000) / 1000;
  EXPECT_LT(chi_square, 161);  // 99.99 % point at 99 degrees of freedom
  const auto before = column.row_of({.text = "x"});
  column.hash_seed = 1;
  EXPECT_NE(column.row_of({.text = "x"}), before);
  column.buckets = 1;
  EXPECT_EQ(column.row_of({.text = "x"}), 0);
}

/// A learner over rows of one number and one category; "" is missing.
Encoding learn(const DataOptions& options, const RawColumns& columns,
               const std::vector<std::pair<double, std::string>>& rows) {
  EncodingLearner learner(options, columns);
  for (const auto& [number, category] : rows) {
    RawRow row;
    row.numbers = {number};
    if (!category.empty()) row.ids.push_back({.text = category});
    row.ends = {row.ids.size()};
    learner.add(row);
  }
  return learner.finish();
}

TEST(Encoding, HonoursMinCountMissingAndMaxRows) {
  DataOptions options;
  options.dense = {"x"};
  options.categorical = {"c"};
  options.defaults.min_count = 2;
  const RawColumns columns{.numbers = {"x"}, .features = {{.name = "c"}}};
  const std::vector<std::pair<double, std::string>> rows{{0, "a"}, {0, "b"}, {0, "a"},   {0, ""},
                                                         {0, "b"}, {0, "a"}, {0, "once"}};
  const auto rare_missing = learn(options, columns, rows);
  const auto& c = rare_missing.features[0];
  EXPECT_EQ(c.rows, 3);  // unknown, a, b: one missing value is too rare for a row
  EXPECT_EQ(c.row_of({.text = "a"}), 1);
  EXPECT_EQ(c.row_of({.text = "once"}), 0);
  EXPECT_EQ(c.row_of({.text = "never"}), 0);
  EXPECT_EQ(c.row_of_missing(), 0);

  options.defaults.min_count = 1;
  options.max_rows = 3;
  const auto capped = learn(options, columns, rows);
  EXPECT_EQ(capped.features[0].rows, 3);
  EXPECT_EQ(capped.features[0].row_of_missing(), 1);
  EXPECT_EQ(capped.features[0].row_of({.text = "a"}), 2);
  EXPECT_EQ(capped.features[0].row_of({.text = "b"}), 0);  // row 3 of the vocabulary, modulo 3
}

TEST(Encoding, ReadsBackExactly) {
  DataOptions options;
  options.dense = options.binned = {"x"};
  options.categorical = {"c"};
  options.defaults.normalize = Normalize::quantile;
  const RawColumns columns{.numbers = {"x"}, .features = {{.name = "c"}}};
  std::vector<std::pair<double, std::string>> rows{{0.1, "\xff\xfe not UTF-8"}, {1.0 / 3, "\"quoted\\\n"}, {-0.0, ""}};
  for (std::uint64_t i = 0; i < 500; ++i)
    rows.emplace_back(random::normal(i) * std::pow(10, static_cast<double>(i % 40) - 20), "é");
  const auto encoding = learn(options, columns, rows);
  const std::string text = encoding.to_json();
  const auto again = Encoding::from_json(text, "t");
  EXPECT_EQ(again.to_json(), text);
  EXPECT_EQ(again.features[0].row_of({.text = "\xff\xfe not UTF-8"}),
            encoding.features[0].row_of({.text = "\xff\xfe not UTF-8"}));
  EXPECT_GT(again.features[0].row_of({.text = "\xff\xfe not UTF-8"}), 1);
  EXPECT_EQ(again.features[1].edges, encoding.features[1].edges);
  EXPECT_EQ(again.dense[0].knots, encoding.dense[0].knots);
}

TEST(ParseNumber, TakesTheWholeCellOrSaysWhy) {
  double value = 0;
  EXPECT_EQ(parse_number(" -1.5e3 ", value), nullptr);
  EXPECT_EQ(value, -1500);
  EXPECT_EQ(parse_number("+7", value), nullptr);
  EXPECT_EQ(value, 7);
  for (const auto* text : {"", " ", "1,5", "0x10", "1 2", "--1", "+-1", "1e", "abc", "1.5.2"})
    EXPECT_STREQ(parse_number(text, value), "not a number") << text;
  for (const auto* text : {"nan", "inf", "-inf", "NAN", "infinity"})
    EXPECT_STREQ(parse_number(text, value), "not a finite number");
  EXPECT_STREQ(parse_number("1e39", value), "number beyond the range of fp32");
  EXPECT_STREQ(parse_number("1e999", value), "number out of range");
  std::int64_t whole = 0;
  EXPECT_EQ(parse_integer("-9223372036854775808", whole), nullptr);
  EXPECT_STREQ(parse_integer("9223372036854775808", whole), "number out of range");
  EXPECT_STREQ(parse_integer("1.0", whole), "not a whole number");
}

}  // namespace
}  // namespace swallowtail
