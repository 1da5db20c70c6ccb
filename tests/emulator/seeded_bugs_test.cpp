// The proof that the emulator sees what it promises: every seeded bug is caught under every order of threads and
// blocks, with words that name it, and every correct twin passes.
#include "tests/emulator/seeded_bugs.h"

#include <gtest/gtest.h>

#include "tests/emulator/emulator.h"

namespace swallowtail::emulator {
namespace {

TEST(SeededBugs, AreCaughtAndTheirTwinsPass) {
  using Order = Schedule::Order;
  for (const Schedule& schedule : {Schedule{Order::forward, 0}, Schedule{Order::backward, 0},
                                   Schedule{Order::shuffled, 1}, Schedule{Order::shuffled, 2}})
    for (const Seeded& seeded : seeded_kernels()) {
      use_schedule(schedule);
      std::string fault;
      try {
        seeded.run();
      } catch (const Fault& caught) {
        fault = caught.what();
      }
      if (seeded.fault.empty()) {
        EXPECT_EQ(fault, "") << seeded.name;
      } else {
        EXPECT_NE(fault.find(seeded.fault), std::string::npos) << seeded.name << ": '" << fault << "'";
      }
      EXPECT_EQ(bytes_in_use(), 0u) << seeded.name;
    }
  use_schedule({});
}

}  // namespace
}  // namespace swallowtail::emulator
