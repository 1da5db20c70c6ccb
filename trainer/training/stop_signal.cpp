#include "trainer/training/stop_signal.h"

#include <unistd.h>

#include <array>
#include <csignal>

namespace swallowtail {

namespace {

constexpr std::array kSignals{SIGUSR1, SIGTERM, SIGINT};
volatile std::sig_atomic_t asked = 0;
std::array<struct sigaction, kSignals.size()> before;
int depth = 0;  // one run may train others within it: the outermost one sets and gives back

void ask(int signal) {
  if (signal == SIGINT && asked != 0) _exit(128 + SIGINT);
  asked = 1;
}

}  // namespace

StopSignal::StopSignal() {
  if (depth++ > 0) return;
  asked = 0;
  struct sigaction action {};
  action.sa_handler = ask;
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before[i]);
}

StopSignal::~StopSignal() {
  if (--depth > 0) return;
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before[i], nullptr);
}

bool StopSignal::requested() const noexcept { return asked != 0; }

}  // namespace swallowtail
