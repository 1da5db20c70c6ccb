#include "parallel/activity.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "parallel/agreement.h"

namespace swallowtail {

namespace {

thread_local Reporter* bound_reporter = nullptr;

void set_text(Report& report, std::string_view what) noexcept {
  report.what.fill(0);
  std::copy_n(what.begin(), std::min(what.size(), report.what.size() - 1), report.what.begin());
}

}  // namespace

std::int64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// A sequence lock whose payload is made of atomics, so that a torn read is no data race. Release on each word keeps the
// odd version before it, acquire on each word keeps the second look at the version behind it (Boehm, MSPC 2012); both
// are plain moves on x86, and ThreadSanitizer knows them, which it does not know of fences.
void ActivitySlot::write(const Report& report) noexcept {
  std::array<std::uint64_t, kWords> words;
  std::memcpy(words.data(), &report, sizeof report);
  const auto version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_relaxed);
  for (std::size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_release);
  version_.store(version + 2, std::memory_order_release);
}

std::optional<Report> ActivitySlot::read() const noexcept {
  for (int attempt = 0; attempt < 1000; ++attempt) {  // bounded: the writer may be stopped half-way
    const auto before = version_.load(std::memory_order_acquire);
    if (before == 0) return std::nullopt;
    std::array<std::uint64_t, kWords> words;
    for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
    if (before % 2 == 1 || version_.load(std::memory_order_relaxed) != before) continue;
    Report report;
    std::memcpy(static_cast<void*>(&report), words.data(), sizeof report);
    return report;
  }
  return std::nullopt;
}

double ActivitySlot::seconds_since_beat() const noexcept {
  const auto beat = beat_ns_.load(std::memory_order_relaxed);
  return beat == 0 ? 0.0 : std::max(0.0, static_cast<double>(monotonic_ns() - beat) * 1e-9);
}

std::size_t ActivityBoard::bytes(int ranks) noexcept {
  return alignof(ActivitySlot) + sizeof(ActivitySlot) * static_cast<std::size_t>(ranks);
}

ActivityBoard::ActivityBoard(void* memory, int ranks, bool fresh) {
  auto* const start = static_cast<std::byte*>(memory);
  claimed_ = reinterpret_cast<std::atomic<std::uint32_t>*>(start);
  auto* const slots = reinterpret_cast<ActivitySlot*>(start + alignof(ActivitySlot));
  if (fresh) {
    new (claimed_) std::atomic<std::uint32_t>{0};
    for (int i = 0; i < ranks; ++i) new (slots + i) ActivitySlot;
  }
  slots_ = {slots, static_cast<std::size_t>(ranks)};
}

void Reporter::phase(std::string_view what, std::int64_t step) noexcept {
  const std::lock_guard lock(mutex_);
  set_text(phase_, what);
  phase_.step = step;
  phase_.since_ns = monotonic_ns();
  phase_.calls = current_.calls;
  if (current_.in_call) return;  // another thread's word while this rank waits: it counts once the call is over
  current_ = phase_;
  slot_->write(current_);
}

void Reporter::count_call() noexcept {
  const std::lock_guard lock(mutex_);
  ++current_.calls;
  slot_->write(current_);
}

void Reporter::begin_wait(const Tag& tag) noexcept { wait_in(tag, false); }
void Reporter::begin_call(const Tag& tag) noexcept { wait_in(tag, true); }

void Reporter::wait_in(const Tag& tag, bool counts) noexcept {
  const std::lock_guard lock(mutex_);
  set_text(current_, tag.operation);
  current_.step = tag.step;
  current_.since_ns = monotonic_ns();
  current_.calls += counts ? 1 : 0;
  current_.in_call = true;
  current_.finished = false;
  slot_->write(current_);
}

void Reporter::end_call() noexcept {
  const std::lock_guard lock(mutex_);
  const auto calls = current_.calls;
  if (phase_.since_ns != 0) {
    current_ = phase_;
    current_.calls = calls;
  }
  current_.since_ns = monotonic_ns();
  current_.in_call = false;
  slot_->write(current_);
}

void Reporter::finish() noexcept {
  const std::lock_guard lock(mutex_);
  current_.in_call = false;
  current_.finished = true;
  slot_->write(current_);
}

void report_activity(std::string_view what, std::int64_t step) noexcept {
  if (bound_reporter) bound_reporter->phase(what, step);
}

BoundReporter::BoundReporter(Reporter& reporter) noexcept : previous_(bound_reporter) { bound_reporter = &reporter; }
BoundReporter::~BoundReporter() { bound_reporter = previous_; }

namespace {

// Twenty missed beats of the watchdog: a busy machine delays a few.
constexpr double kSilentAfter_s = 2.0;

std::string last_word(const RankState& state, std::int64_t now_ns) {
  std::string text = "unknown";
  if (state.report) {
    const auto& report = *state.report;
    const double since_s = std::max(0.0, static_cast<double>(now_ns - report.since_ns) * 1e-9);
    const auto name = call_name(report.what.data(), report.step);
    text = report.what[0] == 0 ? fmt::format("in its start for {:.0f} s", since_s)
                               : fmt::format("in {} for {:.0f} s", name, since_s);
    if (report.finished) text = "finished";
  }
  if (state.is_dead) return text + ", its process is gone";
  if (state.silent_s >= kSilentAfter_s)
    text += fmt::format(", its process has been silent for {:.0f} s", state.silent_s);
  return text;
}

/// {0, 1, 2, 5} -> "ranks 0-2, 5".
std::string rank_list(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  for (std::size_t i = 0; i < ranks.size();) {
    std::size_t last = i;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (i > 0) text += ", ";
    text += last == i ? fmt::format("{}", ranks[i]) : fmt::format("{}-{}", ranks[i], ranks[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace

Error missed_call(int self, const Tag& tag, double waited_s, std::vector<RankState> ranks,
                  std::span<const int> members) {
  const auto now_ns = monotonic_ns();
  std::ranges::sort(ranks, {}, &RankState::rank);
  const auto mine = std::ranges::find(ranks, self, &RankState::rank);
  const auto my_calls = mine != ranks.end() && mine->report ? mine->report->calls : 0;
  const auto behind = [&](const RankState& state) { return state.report && state.report->calls < my_calls; };
  const auto others = [&](auto wanted) {
    std::vector<const RankState*> found;
    for (const auto& state : ranks)
      if (state.rank != self && wanted(state)) found.push_back(&state);
    return found;
  };
  const auto in_group = [&](const RankState& state) {
    return members.empty() || std::ranges::find(members, state.rank) != members.end();
  };
  const auto computes = [](const RankState& state) {
    return state.report && !state.report->in_call && !state.report->finished;
  };
  auto missing = others([](const RankState& state) { return state.is_dead; });
  const auto or_else = [&](auto wanted) {
    if (missing.empty()) missing = others(wanted);
  };
  or_else([](const RankState& state) { return state.silent_s >= kSilentAfter_s; });
  // A rank that waits is behind only because of another one.
  or_else([&](const RankState& state) { return in_group(state) && behind(state) && !state.report->in_call; });
  or_else([&](const RankState& state) { return behind(state) && computes(state); });
  or_else([&](const RankState& state) { return in_group(state) && computes(state); });
  or_else(computes);
  or_else([&](const RankState& state) { return in_group(state) && behind(state); });
  or_else([](const RankState& state) { return state.report && state.report->finished; });
  or_else([&](const RankState& state) { return in_group(state) && !state.report.has_value(); });

  std::map<std::string, std::vector<int>> words;  // equal words share an entry: a thousand ranks wait in the same place
  for (const auto& state : ranks) words[last_word(state, now_ns)].push_back(state.rank);
  std::string all;
  for (const auto& [word, who] : words) all += fmt::format("{}{} {}", all.empty() ? "" : "; ", rank_list(who), word);

  const auto call = call_name(tag.operation, tag.step);
  if (missing.empty())
    return {ExitCode::rank, fmt::format("{} did not end within {:.0f} s though every rank came to it", call, waited_s),
            fmt::format("rank {}", self),
            fmt::format("check the network and each rank's log.txt; last reports: {}", all)};
  std::vector<int> who;
  for (const auto* state : missing) who.push_back(state->rank);
  const bool is_waiting = !tag.operation.empty();
  const auto fact = !missing.front()->is_dead ? fmt::format("{} missed {} for {:.0f} s", rank_list(who), call, waited_s)
                    : is_waiting              ? fmt::format("{} died before {} was over", rank_list(who), call)
                                              : fmt::format("{} died", rank_list(who));
  return {ExitCode::rank, fact, fmt::format("rank {} {}", missing.front()->rank, last_word(*missing.front(), now_ns)),
          fmt::format("see its log.txt; last reports: {}", all)};
}

}  // namespace swallowtail
