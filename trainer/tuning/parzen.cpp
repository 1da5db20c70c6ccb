#include "trainer/tuning/parzen.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/random.h"

namespace swallowtail {
namespace {

constexpr double kFlatShare = 0.1;  // of the observations, which every bin counts beside its own: no choice is given up

/// Of the standard normal distribution.
double cumulative(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

}  // namespace

Parzen::Parzen(std::vector<double> observations, std::int64_t bins) {
  if (bins > 0) {
    const double each = 1 + kFlatShare * static_cast<double>(observations.size());
    shares_.assign(static_cast<std::size_t>(bins), each);
    for (const double at : observations)
      shares_[std::min(static_cast<std::size_t>(at * static_cast<double>(bins)), shares_.size() - 1)] += 1;
    for (double& share : shares_) share /= static_cast<double>(observations.size()) + each * static_cast<double>(bins);
    return;
  }
  std::ranges::sort(observations);
  centers_ = std::move(observations);
  // As wide as the farther neighbour is away (the ends of the interval count), within limits: never so narrow that
  // nothing beside an observation is tried, never wider than the interval.
  const double narrowest = 1 / (1 + std::min(100.0, static_cast<double>(centers_.size())));
  for (std::size_t i = 0; i < centers_.size(); ++i) {
    const double left = i == 0 ? 0 : centers_[i - 1], right = i + 1 == centers_.size() ? 1 : centers_[i + 1];
    widths_.push_back(std::clamp(std::max(centers_[i] - left, right - centers_[i]), narrowest, 1.0));
  }
}

double Parzen::draw(std::uint64_t bits) const {
  const double which = random::uniform(random::mix(bits ^ 1)), within = random::uniform(random::mix(bits ^ 2));
  if (!shares_.empty()) {
    double sum = 0;
    for (std::size_t bin = 0; bin < shares_.size(); ++bin) {
      sum += shares_[bin];
      if (which < sum || bin + 1 == shares_.size())
        return (static_cast<double>(bin) + within) / static_cast<double>(shares_.size());
    }
  }
  const auto part = static_cast<std::size_t>(which * static_cast<double>(centers_.size() + 1));
  if (part >= centers_.size()) return within;
  // The bell, folded back at the ends of the interval by drawing again; the flat part where luck fails.
  for (std::uint64_t attempt = 0; attempt < 20; ++attempt) {
    const double unit = centers_[part] + widths_[part] * random::normal(random::mix(bits ^ random::mix(3 + attempt)));
    if (unit >= 0 && unit < 1) return unit;
  }
  return within;
}

double Parzen::density(double unit) const {
  if (!shares_.empty()) {
    const auto bin = std::min(static_cast<std::size_t>(unit * static_cast<double>(shares_.size())), shares_.size() - 1);
    return shares_[bin] * static_cast<double>(shares_.size());
  }
  double sum = 1;  // the flat part
  for (std::size_t i = 0; i < centers_.size(); ++i) {
    const double z = (unit - centers_[i]) / widths_[i];
    const double inside = cumulative((1 - centers_[i]) / widths_[i]) - cumulative(-centers_[i] / widths_[i]);
    sum += std::exp(-0.5 * z * z) / (widths_[i] * std::sqrt(2 * std::numbers::pi) * inside);
  }
  return sum / static_cast<double>(centers_.size() + 1);
}

}  // namespace swallowtail
