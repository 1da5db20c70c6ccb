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
/// `whereabouts`: what this rank was doing ("rank 1 in lookup (step 7)"); it joins the place of failures that may be
/// one rank's alone and that do not know the step: data, resources and the unforeseen.
Failure describe_failure(const std::exception_ptr& thrown, const std::string& whereabouts = {});

void report_failure(const Failure& failure, bool as_json);

}  // namespace swallowtail::cli
