// Line plots as SVG, for an HTML page whose style sheet colours the classes s0 … s5 (html_report.cpp has it).
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace swallowtail {

struct PlotSeries {
  std::string name;
  std::vector<double> x, y;  // same length, x never falling; points that are not finite are gaps
};

struct PlotRange {
  double low, high;
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<PlotSeries> series;
  std::optional<PlotRange> x_range, y_range;  // nothing: what the series need
  std::optional<double> marked_x;             // a vertical line, e.g. the best step
  std::string marked_label;
  std::optional<PlotSeries> reference;  // a faint dashed line, e.g. chance
  bool is_square = false;
  bool is_scatter = false;  // points alone, each of them, x in any order
};

/// The series' colours on this page: a name has the same one in every plot, in the order of first use.
class PlotColors {
 public:
  /// 0 … 5; the classes s0 … s5 differ in colour and in dashes.
  int of(const std::string& name);

 private:
  std::vector<std::string> names_;
};

/// <figure> with caption, legend and <svg>; the SVG has a title and a description in words. A series of more than 300
/// points is drawn as the means of its neighbours, within the band of their smallest and largest.
/// Empty, constant and single-point series are drawn as such; all text is escaped.
std::string plot_figure(const Plot& plot, PlotColors& colors);

}  // namespace swallowtail
