#include "trainer/report/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "trainer/report/axis.h"
#include "trainer/report/html.h"

namespace swallowtail {
namespace {

constexpr std::size_t kMostPoints = 300, kBuckets = 150, kMarkedPoints = 40;
constexpr double kLeft = 72, kRight = 14, kTop = 20, kBottom = 46;

struct Frame {
  double width, height;
  Axis x, y;
  double at_x(double value) const { return kLeft + x.position(value) * (width - kLeft - kRight); }
  double at_y(double value) const { return height - kBottom - y.position(value) * (height - kTop - kBottom); }
};

struct Point {
  double x, y, low, high;  // low, high: the band
};

bool is_finite_at(const PlotSeries& series, std::size_t i) {
  return std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
}

std::size_t finite_points(const PlotSeries& series) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < series.x.size(); ++i) count += is_finite_at(series, i);
  return count;
}

/// The points to draw, in unbroken runs.
std::vector<std::vector<Point>> runs_of(const PlotSeries& series) {
  std::vector<std::vector<Point>> runs;
  const std::size_t size = series.x.size();
  const std::size_t per_point = size > kMostPoints ? (size + kBuckets - 1) / kBuckets : 1;
  bool is_broken = true;
  for (std::size_t begin = 0; begin < size; begin += per_point) {
    Point mean{0, 0, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
    int count = 0;
    for (std::size_t i = begin; i < std::min(begin + per_point, size); ++i) {
      if (!is_finite_at(series, i)) continue;
      ++count;
      mean.x += (series.x[i] - mean.x) / count;
      mean.y += (series.y[i] - mean.y) / count;
      mean.low = std::min(mean.low, series.y[i]);
      mean.high = std::max(mean.high, series.y[i]);
    }
    if (count == 0) {
      is_broken = true;
      continue;
    }
    if (is_broken) runs.emplace_back();
    is_broken = false;
    runs.back().push_back(mean);
  }
  return runs;
}

template <typename Values>
PlotRange range_of(const Plot& plot, Values values) {
  PlotRange range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  if (plot.is_scatter) {
    for (const auto& series : plot.series)
      for (std::size_t i = 0; i < series.x.size(); ++i) {
        if (!is_finite_at(series, i)) continue;
        const double value = values(Point{series.x[i], series.y[i], 0, 0});
        range.low = std::min(range.low, value);
        range.high = std::max(range.high, value);
      }
    return range;
  }
  for (const auto& series : plot.series)
    for (const auto& run : runs_of(series))
      for (const auto& point : run) {
        range.low = std::min(range.low, values(point));
        range.high = std::max(range.high, values(point));
      }
  return range;
}

std::string axes(const Plot& plot, const Frame& frame) {
  const double bottom = frame.height - kBottom, right = frame.width - kRight;
  std::string out;
  for (std::size_t i = 0; i < frame.y.ticks.size(); ++i) {
    const double y = frame.at_y(frame.y.ticks[i]);
    out += fmt::format("<path class=\"grid\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", kLeft, y, right);
    out += fmt::format("<text class=\"tick\" text-anchor=\"end\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", kLeft - 8, y + 4,
                       frame.y.labels[i]);
  }
  for (std::size_t i = 0; i < frame.x.ticks.size(); ++i) {
    const double x = frame.at_x(frame.x.ticks[i]);
    out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}v5\"/>", x, bottom);
    out += fmt::format("<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>", x,
                       bottom + 19, frame.x.labels[i]);
  }
  out += fmt::format("<path class=\"axis\" d=\"M{:.1f} {:.1f}H{:.1f}\"/>", kLeft, bottom, right);
  out += fmt::format("<text class=\"label\" text-anchor=\"middle\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
                     (kLeft + right) / 2, frame.height - 8, escape_html(plot.x_label));
  out += fmt::format(
      "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(12 {:.1f}) rotate(-90)\">{}</text>",
      (kTop + bottom) / 2, escape_html(plot.y_label));
  return out;
}

std::string band(const std::vector<Point>& run, const Frame& frame, int color) {
  std::string d;
  for (const auto& point : run)
    d += fmt::format("{}{:.1f} {:.1f}", d.empty() ? 'M' : 'L', frame.at_x(point.x), frame.at_y(point.high));
  for (auto point = run.rbegin(); point != run.rend(); ++point)
    d += fmt::format("L{:.1f} {:.1f}", frame.at_x(point->x), frame.at_y(point->low));
  return fmt::format("<path class=\"band s{}\" d=\"{}Z\"/>", color, d);
}

std::string drawn_series(const PlotSeries& series, const Frame& frame, int color) {
  std::string bands, lines, points;
  const bool has_band = series.x.size() > kMostPoints, has_points = series.x.size() <= kMarkedPoints;
  for (const auto& run : runs_of(series)) {
    if (has_band) bands += band(run, frame, color);
    std::string d;
    for (const auto& point : run)
      d += fmt::format("{}{:.1f} {:.1f}", d.empty() ? 'M' : 'L', frame.at_x(point.x), frame.at_y(point.y));
    if (run.size() > 1) lines += fmt::format("<path class=\"line s{}\" d=\"{}\"/>", color, d);
    if (!has_points && run.size() > 1) continue;
    for (const auto& point : run)
      points += fmt::format(
          "<circle class=\"point s{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\"><title>{}: {}, {}</title></circle>", color,
          frame.at_x(point.x), frame.at_y(point.y), escape_html(series.name), readable(point.x), readable(point.y));
  }
  return bands + lines + points;
}

std::string drawn_points(const PlotSeries& series, const Frame& frame, int color) {
  std::string points;
  for (std::size_t i = 0; i < series.x.size(); ++i)
    if (is_finite_at(series, i))
      points += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.4\"/>", frame.at_x(series.x[i]),
                            frame.at_y(series.y[i]));
  return fmt::format("<g class=\"dots point s{}\"><title>{}</title>{}</g>", color, escape_html(series.name), points);
}

std::string mark(const Plot& plot, const Frame& frame) {
  if (!plot.marked_x || *plot.marked_x < frame.x.low || *plot.marked_x > frame.x.high) return {};
  const double x = frame.at_x(*plot.marked_x);
  // The label stands above the frame, where no curve crosses it.
  return fmt::format(
      "<path class=\"mark\" d=\"M{0:.1f} {1:.1f}V{2:.1f}\"/>"
      "<text class=\"tick\" text-anchor=\"middle\" x=\"{0:.1f}\" y=\"{3:.1f}\">{4}</text>",
      x, kTop - 4, frame.height - kBottom, kTop - 8, escape_html(plot.marked_label));
}

std::string reference_line(const Plot& plot, const Frame& frame) {
  if (!plot.reference) return {};
  std::string d;
  for (std::size_t i = 0; i < plot.reference->x.size(); ++i)
    d += fmt::format("{}{:.1f} {:.1f}", d.empty() ? 'M' : 'L', frame.at_x(plot.reference->x[i]),
                     frame.at_y(plot.reference->y[i]));
  return fmt::format("<path class=\"reference\" d=\"{}\"/>", d);
}

/// The plot in words, for those who do not see it.
std::string description(const Plot& plot) {
  std::string out = fmt::format("{} by {}.", plot.y_label, plot.x_label);
  for (const auto& series : plot.series) {
    const auto count = finite_points(series);
    out += fmt::format(" {}: {} points", series.name, count);
    if (count > 0 && !plot.is_scatter) {
      std::size_t first = 0, last = series.x.size() - 1;
      while (!is_finite_at(series, first)) ++first;
      while (!is_finite_at(series, last)) --last;
      out += fmt::format(", from {} at {} to {} at {}", readable(series.y[first]), readable(series.x[first]),
                         readable(series.y[last]), readable(series.x[last]));
    }
    out += '.';
  }
  return out;
}

std::string legend(const Plot& plot, PlotColors& colors) {
  if (plot.series.empty() && !plot.reference) return {};
  const auto entry = [](std::string_view kind, const std::string& name) {
    return fmt::format(
        "<li><svg width=\"22\" height=\"8\" aria-hidden=\"true\"><path class=\"{}\" d=\"M0 4H22\"/></svg>{}</li>", kind,
        escape_html(name));
  };
  std::string out = "<ul class=\"legend\">";
  for (const auto& series : plot.series) {
    if (plot.is_scatter)
      out += fmt::format(
          "<li><svg width=\"10\" height=\"10\" aria-hidden=\"true\"><circle class=\"point s{}\" cx=\"5\" cy=\"5\" "
          "r=\"4\"/></svg>{}</li>",
          colors.of(series.name), escape_html(series.name));
    else
      out += entry(fmt::format("line s{}", colors.of(series.name)), series.name);
  }
  if (plot.reference) out += entry("reference", plot.reference->name);
  return out + "</ul>";
}

}  // namespace

int PlotColors::of(const std::string& name) {
  const auto found = std::ranges::find(names_, name);
  const auto index = static_cast<int>(found - names_.begin());
  if (found == names_.end()) names_.push_back(name);
  return index % 6;
}

std::string plot_figure(const Plot& plot, PlotColors& colors) {
  Frame frame{plot.is_square ? 348.0 : 520.0, plot.is_square ? 330.0 : 280.0, {}, {}};
  auto out = fmt::format("<figure><figcaption>{}</figcaption>{}", escape_html(plot.title), legend(plot, colors));
  out += fmt::format(
      "<svg viewBox=\"0 0 {0:.0f} {1:.0f}\" role=\"img\" aria-label=\"{2}\"><title>{2}</title><desc>{3}</desc>",
      frame.width, frame.height, escape_html(plot.title), escape_html(description(plot)));
  const auto x = range_of(plot, [](const Point& point) { return point.x; });
  const auto y = range_of(plot, [](const Point& point) { return point.y; });
  if (x.low > x.high) {
    out += fmt::format("<text class=\"empty\" text-anchor=\"middle\" x=\"{:.0f}\" y=\"{:.0f}\">no data</text>",
                       frame.width / 2, frame.height / 2);
    return out + "</svg></figure>";
  }
  const auto x_range = plot.x_range.value_or(x), y_range = plot.y_range.value_or(y);
  frame.x = make_axis(x_range.low, x_range.high, plot.is_square ? 5 : 6, plot.x_range ? 0 : 0.01);
  frame.y = make_axis(y_range.low, y_range.high, 5, plot.y_range ? 0 : 0.06);
  out += axes(plot, frame) + mark(plot, frame);
  // The nested <svg> cuts bands at the frame without an id, which would have to be unique on the page.
  out += fmt::format(
      "<svg x=\"0\" y=\"{0:.0f}\" width=\"{1:.0f}\" height=\"{2:.1f}\" viewBox=\"0 {0:.0f} {1:.0f} {2:.1f}\">",
      kTop - 4, frame.width, frame.height - kTop - kBottom + 8);
  out += reference_line(plot, frame);
  for (const auto& series : plot.series)
    out += plot.is_scatter ? drawn_points(series, frame, colors.of(series.name))
                           : drawn_series(series, frame, colors.of(series.name));
  return out + "</svg></svg></figure>\n";
}

}  // namespace swallowtail
