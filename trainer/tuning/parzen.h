// A density on [0, 1] from a few observations: a mixture of bells around them, as wide as their neighbours are far, and
// one flat part for what nobody has tried.
#pragma once

#include <cstdint>
#include <vector>

namespace swallowtail {

class Parzen {
 public:
  /// bins > 0: [0, 1) is divided in that many equal bins, which are counted instead, each a little more than it holds.
  Parzen(std::vector<double> observations, std::int64_t bins);
  /// In [0, 1), from 64 uniform bits.
  double draw(std::uint64_t bits) const;
  double density(double unit) const;

 private:
  std::vector<double> centers_, widths_;  // rising; no bins
  std::vector<double> shares_;            // of the bins
};

}  // namespace swallowtail
