// What `swallowtail doctor` looks at. Each check is one function; none changes anything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace swallowtail::cli {

enum class Status { ok, warn, fail };

struct Finding {
  std::string_view name;
  Status status = Status::ok;
  std::string value;
  std::string advice;  // empty when there is nothing to do
};

/// All findings, in the order to print. `local_ranks`: ranks of this run on this machine, and
/// `cores` that they may run on together. MPI must be started.
std::vector<Finding> examine_machine(int local_ranks, int cores);

}  // namespace swallowtail::cli
