// What `swallowtail tune` searches: keys of the experiment and what each may be. A point is one value a key, as text in
// the form of the command line, so that what is logged is exactly what was trained.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/config/experiment.h"

namespace swallowtail {

struct SearchParameter {
  enum class Kind : std::uint8_t { choice, number, integer };
  std::string key;
  Kind kind = Kind::choice;
  bool is_log = false;              // number, integer: even in the logarithm
  double low = 0, high = 0;         // number, integer: both ends belong to it
  std::vector<std::string> values;  // choice
  std::int64_t points = 3;          // of a grid

  /// The value at `unit` in [0, 1). Choices and integers divide the interval evenly (log: integers by their logarithm).
  std::string value_at(double unit) const;
  /// Where value_at gives `value`: the middle of the stretch, for numbers the place itself.
  double unit_of(const std::string& value) const;
  /// The values of a grid, without repetition.
  std::vector<std::string> grid() const;
};

/// One value for each parameter, in their order.
using SearchPoint = std::vector<std::string>;

/// tune.parameters. Errors: usage where there is none, a key stands twice, or a range is empty or has no logarithm.
std::vector<SearchParameter> search_space(const Experiment& experiment);

/// The point as overrides of an experiment: "train.learning_rate=0.01".
std::vector<std::string> overrides_of(const std::vector<SearchParameter>& space, const SearchPoint& point);

}  // namespace swallowtail
