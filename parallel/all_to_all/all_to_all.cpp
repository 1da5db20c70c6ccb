#include "parallel/all_to_all/all_to_all.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "kernels/random.h"
#include "parallel/all_to_all/execute.h"
#include "parallel/error.h"

namespace swallowtail {

namespace {

constexpr std::array kAlgorithms{
    AllToAllEntry{"butterfly", "log2 of the ranks rounds of forwarded chunks; for many ranks and small chunks",
                  make_butterfly, make_butterfly},
    AllToAllEntry{"direct", "all messages at once, each byte sent once; for few ranks", make_direct, make_direct},
    AllToAllEntry{"hierarchical", "within the machine, then one flow a rail between machines; for small chunks",
                  make_hierarchical, make_hierarchical},
    AllToAllEntry{"library", "what the MPI library chooses (MPI_Alltoallv)", nullptr, make_direct},
    AllToAllEntry{"pairwise", "one partner a step, each byte sent once; for large chunks", make_pairwise,
                  make_pairwise},
};

constexpr int kStepsAnOctave = 4, kOctaves = 26;  // auto decides at 1 B, 2^(1/4) B, … 64 MiB

std::int64_t size_of_step(int step) {
  return static_cast<std::int64_t>(std::llround(std::exp2(static_cast<double>(step) / kStepsAnOctave)));
}

std::size_t step_of_size(std::int64_t bytes, std::size_t steps) {
  const double step = std::log2(static_cast<double>(std::max<std::int64_t>(bytes, 1))) * kStepsAnOctave;
  return std::min(static_cast<std::size_t>(std::llround(step)), steps - 1);
}

/// Ranks that run different algorithms find different tags.
Tag tag_of(const AllToAllEntry& entry, const Tag& tag) {
  return {tag.operation, tag.step, random::mix(tag.detail ^ random::purpose(entry.name))};
}

const AllToAllEntry& known(std::string_view algorithm) {
  const auto* const entry = find_all_to_all(algorithm);
  if (!entry) throw Error{ExitCode::usage, fmt::format("unknown all_to_all algorithm '{}'", algorithm)};
  return *entry;
}

std::string size_text(std::int64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024 * 1024) return fmt::format("{:.3g} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.3g} MiB", static_cast<double>(bytes) / (1024 * 1024));
}

}  // namespace

std::span<const AllToAllEntry> all_to_all_algorithms() noexcept { return kAlgorithms; }

const AllToAllEntry* find_all_to_all(std::string_view name) noexcept {
  const auto found = std::ranges::find(kAlgorithms, name, &AllToAllEntry::name);
  return found == kAlgorithms.end() ? nullptr : &*found;
}

AllToAll::AllToAll(std::string_view algorithm, Communicator& ranks, std::shared_ptr<const CostModel> costs)
    : ranks_(ranks), topology_(ranks.node_of()), costs_(std::move(costs)) {
  if (algorithm != "auto") {
    fixed_ = &known(algorithm);
    return;
  }
  if (!costs_) throw Error{ExitCode::usage, "all_to_all 'auto' needs a cost model"};
  for (int step = 0; step <= kOctaves * kStepsAnOctave; ++step) {
    const auto bytes = size_of_step(step);
    by_size_.push_back(&*std::ranges::min_element(
        kAlgorithms, {}, [&](const AllToAllEntry& entry) { return costs_->predict(entry.name, bytes); }));
  }
}

const AllToAllEntry& AllToAll::chosen(std::int64_t bytes_a_peer) const {
  return fixed_ ? *fixed_ : *by_size_[step_of_size(bytes_a_peer, by_size_.size())];
}

void AllToAll::run(const Tag& tag, ConstChunks send, Chunks recv, std::int64_t expected_bytes_a_peer) {
  const auto& entry = chosen(expected_bytes_a_peer);
  if (!entry.make) return ranks_.all_to_all(tag, send, recv);
  start_schedule(ranks_, tag_of(entry, tag), entry.make(ranks_.rank(), topology_), send, recv)->wait();
}

std::unique_ptr<Pending> AllToAll::start(const Tag& tag, ConstChunks send, Chunks recv,
                                         std::int64_t expected_bytes_a_peer) {
  const auto& entry = chosen(expected_bytes_a_peer);
  if (!entry.make) return ranks_.start_all_to_all(tag, send, recv);
  return start_schedule(ranks_, tag_of(entry, tag), entry.make(ranks_.rank(), topology_), send, recv);
}

std::vector<AllToAll::Choice> AllToAll::choices() const {
  if (fixed_) return {{0, fixed_->name, 0}};
  std::vector<Choice> found;
  for (std::size_t step = 0; step < by_size_.size(); ++step)
    if (found.empty() || found.back().algorithm != by_size_[step]->name) {
      const auto bytes = size_of_step(static_cast<int>(step));
      found.push_back({step == 0 ? 0 : bytes, by_size_[step]->name, costs_->predict(by_size_[step]->name, bytes)});
    }
  return found;
}

std::string AllToAll::describe() const {
  const auto all = choices();
  if (all.size() == 1) return std::string(all[0].algorithm);
  std::string text;
  for (std::size_t i = 0; i + 1 < all.size(); ++i)
    text += fmt::format("{} below {}, ", all[i].algorithm, size_text(all[i + 1].from_bytes));
  return text + fmt::format("{} above", all.back().algorithm);
}

void all_to_all(std::string_view algorithm, Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv) {
  AllToAll(known(algorithm).name, ranks).run(tag, send, recv, 0);
}

}  // namespace swallowtail
