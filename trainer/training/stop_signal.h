// The wish to stop: SIGUSR1 (Slurm's early warning), SIGTERM and SIGINT ask for it; the loop saves and ends with exit
// code 75 at the next step boundary. A second SIGINT ends the process at once.
#pragma once

namespace swallowtail {

/// While it lives, the signals ask instead of killing. Several may live, the inner ones ending first: all of them see the
/// wish.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  bool requested() const noexcept;
};

}  // namespace swallowtail
