// How a command that throws ends: one line, once, and the run's exit code.
#pragma once

#include <exception>
#include <nlohmann/json.hpp>
#include <string>

namespace swallowtail::cli {

struct Failure {
  int exit_code;
  std::string line;     // for standard error, without line feed
  nlohmann::json json;  // {error, exit_code, where, advice}
};

/// Knows Error, and tells exhausted memory and disks from bugs (exit code 1) in what other libraries throw.
Failure describe_failure(const std::exception_ptr& thrown);

/// Prints the failure. Often all ranks fail alike, so ranks other than 0 wait here first: by then rank 0 has printed
/// and ended the run, unless it did not fail, and then the line is this rank's to say.
void report_failure(const Failure& failure, int rank, bool as_json);

}  // namespace swallowtail::cli
