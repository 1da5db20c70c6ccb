#include <functional>

#include "tests/emulator/emulator.h"

namespace swallowtail::cuda::testing {

void under_every_schedule(const std::function<void()>& work) {
  using Order = emulator::Schedule::Order;
  for (const emulator::Schedule& schedule : {emulator::Schedule{Order::backward, 0},
                                             emulator::Schedule{Order::shuffled, 7},
                                             emulator::Schedule{Order::forward, 0}}) {
    emulator::use_schedule(schedule);
    work();
  }
}

}  // namespace swallowtail::cuda::testing
