// The ranks' load as a picture: one column a rank (or a group of ranks), its phases stacked, the bound as a line.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "trainer/planning/cluster_plan.h"
#include "trainer/report/html.h"

namespace swallowtail {

namespace {

constexpr std::size_t kMostColumns = 256;
constexpr double kWidth = 960, kHeight = 360, kLeft = 70, kRight = 20, kTop = 56, kBottom = 46;

struct Layer {
  const char* name;
  const char* color;
  double ShardCost::*seconds;
};
constexpr std::array kLayers{
    Layer{"input exchange", "#8a6100", &ShardCost::input_s}, Layer{"lookup", "#1f5fbf", &ShardCost::lookup_s},
    Layer{"shuffle", "#c2410c", &ShardCost::shuffle_s}, Layer{"gradient shuffle", "#7a3fd0", &ShardCost::gradient_s},
    Layer{"update", "#0d7a68", &ShardCost::update_s}};

std::string line(double y, const char* dashes, const std::string& label) {
  return fmt::format(R"(<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}" stroke="#58616b" stroke-dasharray="{}"/>)"
                     R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)",
                     kLeft, kWidth - kRight, y, y, dashes, kWidth - kRight, y - 4, label);
}

}  // namespace

std::string load_svg(const ClusterPlan& plan) {
  const auto& ranks = plan.planned.ranks;
  const std::size_t columns = std::min(kMostColumns, ranks.size());
  const double highest = std::max(1e-12, plan.planned.max_seconds() * 1.1);
  const auto height_of = [&](double seconds) { return seconds / highest * (kHeight - kTop - kBottom); };
  const double floor_y = kHeight - kBottom, step = (kWidth - kLeft - kRight) / static_cast<double>(columns);
  const std::string title = escape_html(fmt::format(
      "Load of {} ranks of {}: largest {:.1f} us, mean {:.1f} us, bound {:.1f} us", ranks.size(), plan.cluster.name,
      plan.planned.max_seconds() * 1e6, plan.planned.mean_seconds() * 1e6, plan.planned.bound.seconds * 1e6));
  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0:.0f} {1:.0f}" role="img" font-family="sans-serif" font-size="12" fill="#1c2127"><title>{2}</title><rect width="{0:.0f}" height="{1:.0f}" fill="#fff"/><text x="{3:.0f}" y="20" font-size="14">{2}</text>)",
      kWidth, kHeight, title, kLeft);
  double x = kLeft;
  for (const Layer& layer : kLayers) {
    svg += fmt::format(R"(<rect x="{:.1f}" y="30" width="10" height="10" fill="{}"/><text x="{:.1f}" y="39">{}</text>)",
                       x, layer.color, x + 14, layer.name);
    x += 130;
  }
  for (std::size_t column = 0; column < columns; ++column) {
    // Of a group of ranks, the busiest is drawn: none is hidden.
    const std::size_t first = ranks.size() * column / columns, end = ranks.size() * (column + 1) / columns;
    const auto busiest =
        std::ranges::max_element(ranks.begin() + static_cast<std::ptrdiff_t>(first),
                                 ranks.begin() + static_cast<std::ptrdiff_t>(end), {}, &ShardCost::seconds);
    double y = floor_y;
    for (const Layer& layer : kLayers) {
      const double height = height_of((*busiest).*layer.seconds);
      y -= height;
      svg +=
          fmt::format(R"(<rect x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" fill="{}"/>)",
                      kLeft + step * static_cast<double>(column), y, step > 3 ? step - 1 : step, height, layer.color);
    }
  }
  svg += line(floor_y - height_of(plan.planned.bound.seconds), "6 3", "bound");
  svg += line(floor_y - height_of(plan.planned.mean_seconds()), "2 3", "mean");
  for (const double share : {0.0, 0.5, 1.0})
    svg += fmt::format(R"(<text x="{:.0f}" y="{:.1f}" text-anchor="end">{:.1f} us</text>)", kLeft - 6,
                       floor_y - height_of(plan.planned.max_seconds() * share) + 4,
                       plan.planned.max_seconds() * share * 1e6);
  svg += fmt::format(
      R"(<text x="{:.0f}" y="{:.0f}">rank 0</text><text x="{:.0f}" y="{:.0f}" text-anchor="end">rank {}</text>)", kLeft,
      floor_y + 18, kWidth - kRight, floor_y + 18, ranks.size() - 1);
  return svg + "</svg>\n";
}

}  // namespace swallowtail
