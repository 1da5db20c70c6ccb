// Progress of a run on standard error: one line that is rewritten where a person watches a terminal, a plain line every
// few seconds where the output is kept (log file, CI, Slurm), nothing where it is not wanted. Called by rank 0 alone.
#pragma once

#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

namespace swallowtail {

struct ProgressPoint {
  std::int64_t step = 0, total_steps = 0;  // total 0: unknown
  double epoch = 0, total_epochs = 0;      // epoch 0.35 of 3
  std::int64_t samples = 0;                // since the start of training
  double loss = 0;
};

/// "1.2 M", "950", "48.3 k"
std::string short_count(double count);
/// "42 s", "3 min 05 s", "2 h 07 min"; "?" where it is not finite.
std::string short_duration(double seconds);

class Progress {
 public:
  enum class Style : std::uint8_t { terminal, plain, quiet };
  /// terminal or plain, as `stream` is; quiet if `quiet`.
  static Style style_of(std::FILE* stream, bool quiet);

  /// `clock`: seconds from any start; empty: a steady clock.
  Progress(std::FILE* stream, Style style, std::function<double()> clock = {});
  Progress(const Progress&) = delete;
  ~Progress();

  /// Call it every step: it prints ten times a second on a terminal, else every 5 s. Samples per second are those of
  /// the last 10 s, so an evaluation in between does not weigh on them for long.
  void update(const ProgressPoint& point);
  /// A line that stays ("validation at step 800: auc 0.9213"), above the progress line.
  void note(std::string_view text);
  /// Prints the last point if it was not, and leaves the line. Further calls begin a new one.
  void finish();

 private:
  void print(const ProgressPoint& point);
  void erase();

  std::FILE* stream_;
  Style style_;
  std::function<double()> clock_;
  struct Mark {
    double time_s;
    std::int64_t step, samples;
  };
  std::deque<Mark> recent_;
  ProgressPoint last_;
  double next_print_s_ = 0;
  std::size_t shown_ = 0;  // characters of the line on the terminal
  bool is_last_pending_ = false;
};

}  // namespace swallowtail
