#include "trainer/report/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>

namespace swallowtail {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Plot plot_of(std::vector<PlotSeries> series) {
  Plot plot;
  plot.title = "Loss";
  plot.x_label = "step";
  plot.y_label = "loss";
  plot.series = std::move(series);
  return plot;
}

std::string drawn(const Plot& plot) {
  PlotColors colors;
  return plot_figure(plot, colors);
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

/// What stands after `before` in the figure, up to the next quote.
std::string quoted_after(const std::string& text, const std::string& before) {
  const auto at = text.find(before);
  if (at == std::string::npos) return "nothing after " + before;
  const auto begin = at + before.size();
  return text.substr(begin, text.find('"', begin) - begin);
}

TEST(Plot, DrawsAStraightLineStraight) {
  auto plot = plot_of({{"train", {0, 50, 100}, {0, 0.5, 1}}});
  plot.x_range = PlotRange{0, 100};
  plot.y_range = PlotRange{0, 1};
  const auto d = quoted_after(drawn(plot), "<path class=\"line s0\" d=\"M72.0");  // begins at the left edge
  std::smatch parts;
  ASSERT_TRUE(std::regex_match(d, parts, std::regex(R"( ([\d.]+)L([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+))"))) << d;
  const double y0 = std::stod(parts[1]), x1 = std::stod(parts[2]), y1 = std::stod(parts[3]), x2 = std::stod(parts[4]),
               y2 = std::stod(parts[5]);
  EXPECT_NEAR(x1, (72 + x2) / 2, 0.1);
  EXPECT_NEAR(y1, (y0 + y2) / 2, 0.1);
  EXPECT_LT(y2, y0);  // SVG counts downwards
}

TEST(Plot, SaysWhenThereIsNothingToDraw) {
  for (const auto& plot : {plot_of({}), plot_of({{"train", {}, {}}}), plot_of({{"train", {1, 2}, {kNan, kNan}}})}) {
    const auto svg = drawn(plot);
    EXPECT_NE(svg.find(">no data<"), std::string::npos);
    EXPECT_EQ(svg.find("nan"), std::string::npos);
  }
}

TEST(Plot, OnePointIsAPoint) {
  const auto svg = drawn(plot_of({{"test", {100}, {0.92}}}));
  EXPECT_EQ(count_of(svg, "<circle"), 1U);
  EXPECT_EQ(count_of(svg, "d=\"M"),
            count_of(svg, "class=\"grid\"") + count_of(svg, "class=\"axis\"") + 1);  // + legend: no line
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(Plot, AConstantSeriesIsALevelLine) {
  const auto svg = drawn(plot_of({{"train", {1, 2, 3}, {0.5, 0.5, 0.5}}}));
  const auto d = quoted_after(svg, "<path class=\"line s0\" d=\"M7");
  std::smatch parts;
  ASSERT_TRUE(std::regex_search(d, parts, std::regex(R"( ([\d.]+)L[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)$)"))) << d;
  EXPECT_EQ(parts[1], parts[2]);
  EXPECT_EQ(parts[2], parts[3]);
}

TEST(Plot, NanAndInfinityAreGaps) {
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> x, y;
  for (int i = 0; i < 100; ++i) {
    x.push_back(i);
    y.push_back(i == 30 ? kNan : i == 60 ? inf : i == 62 ? -inf : 1.0 + i);
  }
  const auto svg = drawn(plot_of({{"train", x, y}}));
  EXPECT_EQ(count_of(svg, "<path class=\"line s0\" d="), 3U + 1);  // 0-29, 31-59, 63-99, and the legend
  EXPECT_EQ(count_of(svg, "<circle"), 1U);                         // 61 alone
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(Plot, ManyPointsBecomeABandOfBoundedSize) {
  std::vector<double> x, y;
  for (int i = 0; i < 100000; ++i) {
    x.push_back(i);
    y.push_back(std::sin(i * 0.7));
  }
  const auto svg = drawn(plot_of({{"train", x, y}}));
  EXPECT_EQ(count_of(svg, "class=\"band s0\""), 1U);
  EXPECT_LT(svg.size(), 20000U);
  EXPECT_EQ(drawn(plot_of({{"train", {1, 2}, {1, 2}}})).find("band"), std::string::npos);
}

TEST(Plot, EscapesEveryName) {
  const std::string evil = "<script>alert(1)</script>\"'&";
  auto plot = plot_of({{evil, {1, 2}, {1, 2}}});
  plot.title = plot.x_label = plot.y_label = plot.marked_label = evil;
  plot.marked_x = 1.5;
  plot.reference = PlotSeries{evil, {1, 2}, {1, 1}};
  const auto svg = drawn(plot);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_GE(count_of(svg, "&lt;script&gt;"), 8U);
  EXPECT_EQ(count_of(svg, "aria-label=\"&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\""), 1U);
}

TEST(Plot, TellsItsStoryInWords) {
  const auto svg = drawn(plot_of({{"train", {0, 10, 20}, {kNan, 0.75, 0.25}}}));
  EXPECT_NE(svg.find("<desc>loss by step. train: 2 points, from 0.75 at 10 to 0.25 at 20.</desc>"), std::string::npos)
      << svg;
}

TEST(Plot, ANameKeepsItsColor) {
  PlotColors colors;
  EXPECT_EQ(colors.of("train"), 0);
  EXPECT_EQ(colors.of("validation"), 1);
  EXPECT_EQ(colors.of("train"), 0);
  for (int i = 0; i < 4; ++i) colors.of("other " + std::to_string(i));
  EXPECT_EQ(colors.of("seventh"), 0);
}

TEST(Plot, AMarkOutsideTheRangeIsLeftOut) {
  auto plot = plot_of({{"train", {0, 10}, {1, 2}}});
  plot.marked_label = "best";
  plot.marked_x = 5;
  EXPECT_NE(drawn(plot).find(">best<"), std::string::npos);
  plot.marked_x = 50;
  EXPECT_EQ(drawn(plot).find(">best<"), std::string::npos);
}

}  // namespace
}  // namespace swallowtail
