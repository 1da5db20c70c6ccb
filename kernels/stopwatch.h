// What benchmarks are made of: the seconds of a piece of work, and the middle one of several figures.
#pragma once

#include <algorithm>
#include <chrono>
#include <vector>

namespace swallowtail {

template <typename Work>
double seconds_of(Work&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Of two in the middle the larger. Requires a value.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace swallowtail
