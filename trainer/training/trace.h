// What every rank did when, for chrome://tracing and ui.perfetto.dev: one process a rank, one lane a phase, so that
// phases that run beside each other lie above each other. Bounded: the first steps of a run are kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"

namespace swallowtail {

/// Plain data: it is sent from rank to rank as bytes. Nanoseconds of this machine's CLOCK_MONOTONIC.
struct TraceEvent {
  std::int64_t begin_ns = 0, end_ns = 0;
  std::int64_t step = 0;
  std::int64_t lane = 0;  // index of its phase
};

/// This rank's events. Not thread-safe.
class Trace {
 public:
  /// Collective. Keeps what happens in the first `steps` steps. Takes the common zero of time: on each machine, when
  /// the first of its ranks leaves a barrier, the median of several.
  Trace(std::int64_t steps, Communicator& ranks);

  /// From here on events belong to `step`. The same step twice counts once.
  void begin_step(std::int64_t step) noexcept;
  void add(std::int64_t lane, std::int64_t begin_ns, std::int64_t end_ns);
  std::span<const TraceEvent> events() const noexcept { return events_; }

  /// Collective: `path` is written by rank 0, replacing what was there. `lane_names`: of every lane that was used.
  void write(const std::filesystem::path& path, std::span<const std::string_view> lane_names,
             Communicator& ranks) const;

 private:
  std::int64_t steps_left_, step_ = -1, zero_ns_ = 0;
  std::vector<TraceEvent> events_;
};

/// The file's text: trace event format, complete events in microseconds since `zero_ns`. events[r] are rank r's, whose
/// zero is zero_ns[r].
std::string trace_json(std::span<const std::vector<TraceEvent>> events, std::span<const std::int64_t> zero_ns,
                       std::span<const std::string_view> lane_names);

}  // namespace swallowtail
