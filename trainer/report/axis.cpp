#include "trainer/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace swallowtail {
namespace {

double round_step(double length, int wanted) {
  const double rough = length / wanted, power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

/// All labels of an axis share one unit and one number of decimals.
std::vector<std::string> tick_labels(const std::vector<double>& ticks, double step) {
  double largest = 0;
  for (const double tick : ticks) largest = std::max(largest, std::abs(tick));
  double unit = 1;
  std::string suffix;
  if (largest >= 1e13 || (largest > 0 && largest < 1e-3)) {
    const double exponent = std::floor(std::log10(largest) + 1e-9);
    unit = std::pow(10.0, exponent);
    suffix = fmt::format("e{:.0f}", exponent);
  } else {
    for (const auto& [size, letter] : {std::pair{1e9, "G"}, {1e6, "M"}, {1e4, "k"}})
      if (largest >= size) {
        unit = std::min(size, size == 1e4 ? 1e3 : size);
        suffix = letter;
        break;
      }
  }
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step / unit) - 1e-9)), 0, 12);
  std::vector<std::string> labels;
  for (const double tick : ticks)
    labels.push_back(tick == 0 ? "0" : fmt::format("{:.{}f}{}", tick / unit, decimals, suffix));
  return labels;
}

}  // namespace

Axis make_axis(double low, double high, int wanted, double pad) {
  // Doubles that differ by rounding alone would ask for ticks with more digits than they have.
  const double size = std::max(std::abs(low), std::abs(high));
  if (high - low <= size * 1e-9) {
    const double around = size > 0 ? size * 0.1 : 1;
    low -= around;
    high += around;
  } else {
    const double added = (high - low) * pad;
    low -= added;
    high += added;
  }
  Axis axis{low, high, {}, {}};
  const double step = round_step(high - low, wanted);
  for (double multiple = std::ceil(low / step - 1e-9); multiple * step <= high + step * 1e-9; ++multiple)
    axis.ticks.push_back(std::clamp(multiple * step, low, high));
  for (double& tick : axis.ticks)
    if (std::abs(tick) < step * 1e-6) tick = 0;
  axis.labels = tick_labels(axis.ticks, step);
  return axis;
}

}  // namespace swallowtail
