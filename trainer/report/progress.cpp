#include "trainer/report/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <limits>

namespace swallowtail {
namespace {

constexpr double kTerminalInterval_s = 0.1, kPlainInterval_s = 5, kWindow_s = 10;

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

std::string short_count(double count) {
  if (!std::isfinite(count)) return "?";
  for (const auto& [size, letter] : {std::pair{1e9, 'G'}, {1e6, 'M'}, {1e3, 'k'}})
    if (count >= size * 0.99995) return fmt::format("{:.{}f} {}", count / size, count < 99.95 * size ? 1 : 0, letter);
  return fmt::format("{:.0f}", count);
}

std::string short_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e9) return "?";
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

Progress::Style Progress::style_of(std::FILE* stream, bool quiet) {
  if (quiet) return Style::quiet;
  return ::isatty(::fileno(stream)) == 1 ? Style::terminal : Style::plain;
}

Progress::Progress(std::FILE* stream, Style style, std::function<double()> clock)
    : stream_(stream), style_(style), clock_(clock ? std::move(clock) : steady_seconds) {}

Progress::~Progress() { finish(); }

void Progress::update(const ProgressPoint& point) {
  if (style_ == Style::quiet) return;
  const double now_s = clock_();
  if (recent_.empty()) next_print_s_ = now_s;
  recent_.push_back({now_s, point.step, point.samples});
  while (recent_.size() > 2 && now_s - recent_[1].time_s >= kWindow_s) recent_.pop_front();
  last_ = point;
  is_last_pending_ = true;
  if (now_s < next_print_s_) return;
  next_print_s_ = now_s + (style_ == Style::terminal ? kTerminalInterval_s : kPlainInterval_s);
  print(point);
}

void Progress::print(const ProgressPoint& point) {
  is_last_pending_ = false;
  const auto& first = recent_.front();
  const double elapsed_s = recent_.back().time_s - first.time_s;
  auto line = fmt::format("step {}", point.step);
  if (point.total_steps > 0) line += fmt::format("/{}", point.total_steps);
  line += fmt::format("  epoch {:.2f}", point.epoch);
  if (point.total_epochs > 0) line += fmt::format("/{:g}", point.total_epochs);
  line += fmt::format("  loss {:.5f}", point.loss);
  if (elapsed_s > 0) {
    line += fmt::format("  {} samples/s", short_count(static_cast<double>(point.samples - first.samples) / elapsed_s));
    const auto steps = static_cast<double>(point.step - first.step);
    const auto left = static_cast<double>(point.total_steps - point.step);
    if (point.total_steps > 0 && left > 0 && steps > 0)
      line += fmt::format("  ETA {}", short_duration(left * elapsed_s / steps));
  }
  if (style_ == Style::plain) {
    fmt::print(stream_, "{}\n", line);
  } else {
    fmt::print(stream_, "\r{:<{}}", line, shown_);  // blanks over the end of a longer line
    shown_ = line.size();
  }
  std::fflush(stream_);
}

void Progress::erase() {
  if (shown_ > 0) fmt::print(stream_, "\r{:{}}\r", "", shown_);
  shown_ = 0;
}

void Progress::note(std::string_view text) {
  if (style_ == Style::quiet) return;
  erase();
  fmt::print(stream_, "{}\n", text);
  std::fflush(stream_);
  next_print_s_ = style_ == Style::terminal ? 0 : next_print_s_;  // the progress line comes back at once
}

void Progress::finish() {
  if (is_last_pending_) print(last_);
  if (shown_ > 0) fmt::print(stream_, "\n");
  std::fflush(stream_);
  shown_ = 0;
  recent_.clear();
}

}  // namespace swallowtail
