// A communicator with one rank that goes wrong at a given call, for tests of how the others end. All else goes to the
// real one, so that what is tested is the product's own watchdog, agreement and failure handling.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "parallel/communicator.h"

namespace swallowtail::fault {

enum class Kind : std::uint8_t {
  die,               // SIGKILL
  stop,              // SIGSTOP
  spin,              // an endless loop
  throw_error,       // an Error with a place of its own
  throw_unforeseen,  // what a library throws
  throw_memory,      // std::bad_alloc
  other_step,        // comes to the call with another step
  other_detail,      // … with other tables
  other_operation,   // … for another purpose
  wish,              // SIGUSR1 to itself, which asks the run to save and stop. Only with "before"
  nan,               // comes with NaN in all the numbers that it sends. Only with "before"
};

enum class When : std::uint8_t {
  before,   // the others wait in the call, or come to it
  inside,   // this rank waits in the call; the others come later. For die and stop
  between,  // after a call that returns at once, before its wait(), where the others are. Not for other_*
  after,    // in the middle of what LibTorch computes next. Not for other_*
};

struct Fault {
  Kind kind;
  When when;
  int rank;
  std::int64_t step;
  int occurrence;  // of (operation, step), from 1: an algorithm may be made of several calls with one tag
  std::string operation;
};

/// From SWALLOWTAIL_TEST_FAULT="KIND:WHEN:RANK:STEP:OCCURRENCE:OPERATION"; empty without it. Throws on anything else.
std::optional<Fault> fault_from_environment();

/// Says on standard output which process this rank is, and "rank 1 injects stop before pooled vectors (step 4)" when it
/// does: a test whose fault never came must not pass.
std::unique_ptr<Communicator> make_odd_communicator(std::unique_ptr<Communicator> real, std::optional<Fault> fault);

}  // namespace swallowtail::fault
