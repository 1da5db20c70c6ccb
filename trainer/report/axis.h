// The scale of a plot's axis: its ends, round ticks and their labels.
#pragma once

#include <string>
#include <vector>

namespace swallowtail {

struct Axis {
  double low = 0, high = 1;   // low < high
  std::vector<double> ticks;  // rising, within [low, high]
  std::vector<std::string> labels;
  /// [0, 1] over the axis.
  double position(double value) const { return (value - low) / (high - low); }
};

/// Ticks at multiples of 1, 2 or 5 times a power of ten, about `wanted` of them. `pad`: share of the length that is
/// added at both ends. A single value (low == high) gets an axis around it. Requires finite ends, low <= high.
Axis make_axis(double low, double high, int wanted, double pad);

}  // namespace swallowtail
