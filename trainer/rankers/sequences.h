// Histories as windows for sequence models: each history is cut from its end into windows of `length` targets, so that
// every interaction but a user's first is a target once an epoch. Where the cuts lie shifts from epoch to epoch.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/data/interactions.h"

namespace swallowtail {

struct Windows {
  torch::Tensor inputs;   // [B, length] int64: items, filled up with `pad`
  torch::Tensor targets;  // [B, length] int64: what came next, -1 where nothing is asked
};

/// Where a window that is shorter than the others stands in its row: attention counts from the end, a recurrent cell
/// starts at the beginning.
enum class Align : std::uint8_t { end, beginning };

class Sequences {
 public:
  /// `train` outlives it.
  Sequences(const Histories& train, std::int64_t length, std::int64_t pad, Align align, std::uint64_t seed);
  std::int64_t windows() const noexcept { return static_cast<std::int64_t>(user_of_.size()); }
  Windows read(std::span<const std::int64_t> windows, std::int64_t epoch) const;
  std::int64_t targets(std::int64_t window, std::int64_t epoch) const;
  /// The last `length` items of each history, [B, length].
  torch::Tensor last(std::span<const std::span<const std::int64_t>> histories) const;

 private:
  /// Positions [first, last) of the user's history that the window has as targets.
  std::pair<std::int64_t, std::int64_t> range(std::int64_t window, std::int64_t epoch) const;

  const Histories& train_;
  std::int64_t length_, pad_;
  Align align_;
  std::uint64_t seed_;
  std::vector<std::int64_t> user_of_, number_;  // of each window: its user and its number from the end
};

}  // namespace swallowtail
