#include "trainer/rankers/sequences.h"

#include <algorithm>

#include "kernels/random.h"

namespace swallowtail {

Sequences::Sequences(const Histories& train, std::int64_t length, std::int64_t pad, Align align, std::uint64_t seed)
    : train_(train), length_(length), pad_(pad), align_(align), seed_(seed) {
  for (std::int64_t user = 0; user < train.users(); ++user) {
    const std::int64_t targets = train.count(user) - 1;
    if (targets < 1) continue;
    // One more than what is needed without a shift: the shift leaves a shorter window at the end.
    const std::int64_t windows = targets <= length ? 1 : (targets + length - 1) / length + 1;
    for (std::int64_t number = 0; number < windows; ++number) {
      user_of_.push_back(user);
      number_.push_back(number);
    }
  }
}

std::pair<std::int64_t, std::int64_t> Sequences::range(std::int64_t window, std::int64_t epoch) const {
  const std::int64_t user = user_of_[window], count = train_.count(user);
  if (count - 1 <= length_) return {1, count};
  const std::int64_t shift =
      random::below(random::bits(seed_, random::purpose("window shift"), static_cast<std::uint64_t>(epoch),
                                 static_cast<std::uint64_t>(user)),
                    length_);
  // Window 0 ends at the end and has length - shift targets; the others are whole, but for the first of the history.
  const std::int64_t last = number_[window] == 0 ? count : count - (length_ - shift) - (number_[window] - 1) * length_;
  const std::int64_t first = number_[window] == 0 ? count - (length_ - shift) : last - length_;
  return {std::max<std::int64_t>(1, first), std::max<std::int64_t>(1, last)};
}

std::int64_t Sequences::targets(std::int64_t window, std::int64_t epoch) const {
  const auto [first, last] = range(window, epoch);
  return last - first;
}

Windows Sequences::read(std::span<const std::int64_t> windows, std::int64_t epoch) const {
  const auto batch = static_cast<std::int64_t>(windows.size());
  Windows read{torch::full({batch, length_}, pad_, torch::kInt64), torch::full({batch, length_}, -1, torch::kInt64)};
  auto* const inputs = read.inputs.data_ptr<std::int64_t>();
  auto* const targets = read.targets.data_ptr<std::int64_t>();
  for (std::int64_t b = 0; b < batch; ++b) {
    const auto [first, last] = range(windows[b], epoch);
    const auto history = train_.of(user_of_[windows[b]]);
    // Inputs reach back beyond the window's own targets, as far as there is room: nothing is asked there.
    const std::int64_t filled = std::min(length_, last - 1);
    const std::int64_t begin = align_ == Align::end ? length_ - filled : 0;
    for (std::int64_t i = 0; i < filled; ++i) {
      const std::int64_t position = last - filled + i;  // of the target
      inputs[b * length_ + begin + i] = history[position - 1];
      if (position >= first) targets[b * length_ + begin + i] = history[position];
    }
  }
  return read;
}

torch::Tensor Sequences::last(std::span<const std::span<const std::int64_t>> histories) const {
  const auto batch = static_cast<std::int64_t>(histories.size());
  torch::Tensor inputs = torch::full({batch, length_}, pad_, torch::kInt64);
  auto* const values = inputs.data_ptr<std::int64_t>();
  for (std::int64_t b = 0; b < batch; ++b) {
    const auto kept = std::min(length_, static_cast<std::int64_t>(histories[b].size()));
    std::copy(histories[b].end() - kept, histories[b].end(),
              values + b * length_ + (align_ == Align::end ? length_ - kept : 0));
  }
  return inputs;
}

}  // namespace swallowtail
