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

constexpr double kTie = 1.08;
constexpr int kStepsAnOctave = 4, kOctaves = 26;  // auto decides at 1 B, 2^(1/4) B, … 64 MiB

std::int64_t size_of_step(int step) {
  return static_cast<std::int64_t>(std::llround(std::exp2(static_cast<double>(step) / kStepsAnOctave)));
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

/// The library wins a tie: it is what everyone else measures against.
const AllToAllEntry& fastest(const CostModel& costs, std::int64_t bytes) {
  const auto seconds = [&](const AllToAllEntry& entry) { return costs.predict(entry.name, bytes); };
  const auto& best = *std::ranges::min_element(kAlgorithms, {}, seconds);
  const auto& library = *find_all_to_all("library");
  return seconds(library) <= kTie * seconds(best) ? library : best;
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

std::vector<AllToAllChoice> all_to_all_choices(const CostModel& costs) {
  std::vector<AllToAllChoice> found;
  for (int step = 0; step <= kOctaves * kStepsAnOctave; ++step) {
    const auto bytes = size_of_step(step);
    const auto name = fastest(costs, bytes).name;
    if (found.empty() || found.back().algorithm != name)
      found.push_back({step == 0 ? 0 : bytes, name, costs.predict(name, bytes)});
  }
  return found;
}

std::string describe(std::span<const AllToAllChoice> choices) {
  if (choices.size() == 1) return std::string(choices[0].algorithm);
  std::string text;
  for (std::size_t i = 0; i + 1 < choices.size(); ++i)
    text += fmt::format("{} below {}, ", choices[i].algorithm, size_text(choices[i + 1].from_bytes));
  return text + fmt::format("{} above", choices.back().algorithm);
}

AllToAll::AllToAll(std::string_view algorithm, Communicator& ranks, std::shared_ptr<const CostModel> costs)
    : ranks_(ranks), topology_(ranks.node_of()), costs_(std::move(costs)) {
  if (algorithm != "auto") {
    fixed_ = &known(algorithm);
    return;
  }
  if (!costs_) throw Error{ExitCode::usage, "all_to_all 'auto' needs a cost model"};
  choices_ = all_to_all_choices(*costs_);
}

const AllToAllEntry& AllToAll::chosen(std::int64_t bytes_a_peer) const {
  if (fixed_) return *fixed_;
  const auto after =
      std::ranges::upper_bound(choices_, std::max<std::int64_t>(bytes_a_peer, 0), {}, &AllToAllChoice::from_bytes);
  return *find_all_to_all(std::prev(after)->algorithm);
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

std::vector<AllToAllChoice> AllToAll::choices() const {
  if (fixed_) return {{0, fixed_->name, 0}};
  return choices_;
}

void all_to_all(std::string_view algorithm, Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv) {
  AllToAll(known(algorithm).name, ranks).run(tag, send, recv, 0);
}

}  // namespace swallowtail
