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
  die,               // SIGKILL before the call: the others wait in it
  stop,              // SIGSTOP before the call
  die_inside,        // SIGKILL while this rank waits in the call for the others, which come later
  stop_inside,       // SIGSTOP likewise
  spin,              // an endless loop before the call
  throw_error,       // an Error with a place of its own
  throw_unforeseen,  // what a library throws
  throw_memory,      // std::bad_alloc
  other_step,        // comes to the call with another step
  other_detail,      // … with other tables
  other_operation,   // … for another purpose
};

struct Fault {
  Kind kind;
  int rank;
  std::string operation;
  std::int64_t step;
  int occurrence = 1;  // of (operation, step): an algorithm may be made of several calls with one tag
};

/// From SWALLOWTAIL_TEST_FAULT="KIND:RANK:STEP:OCCURRENCE:OPERATION"; empty without it. Throws on anything else.
std::optional<Fault> fault_from_environment();

/// Says on standard output which process this rank is, and "rank 1 injects stop before pooled vectors (step 4)" right
/// before it does: a test whose fault never came must not pass.
std::unique_ptr<Communicator> make_odd_communicator(std::unique_ptr<Communicator> real, std::optional<Fault> fault);

}  // namespace swallowtail::fault
