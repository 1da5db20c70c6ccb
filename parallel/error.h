// How a failure travels from where it is known to the user: one kind, one line, one exit code.
// Thrown by value; the command line prints `message()` once and ends the run with `code()` (a rank ends all ranks).
#pragma once

#include <exception>
#include <string>

namespace swallowtail {

/// The process's exit codes; README lists them for users.
enum class ExitCode : int {
  done = 0,
  usage = 2,      // command line or experiment file
  data = 3,       // rows, labels, ids, files of data
  numbers = 4,    // NaN or Inf in loss, gradient or score
  rank = 5,       // a rank failed or a collective timed out
  damaged = 6,    // checkpoint or ledger
  resources = 7,  // memory, disk, permission
  stopped = 75,   // stopped on request, checkpoint saved: requeue me
};

/// what: the fact; where: `file:line:column`, table row, rank or key (may be empty); advice: what to do (may be empty).
class Error : public std::exception {
 public:
  Error(ExitCode code, std::string what, std::string where = {}, std::string advice = {})
      : code_(code), fact_(std::move(what)), where_(std::move(where)), advice_(std::move(advice)) {
    message_ = "swallowtail: error: " + fact_;
    if (!where_.empty()) message_ += ", at " + where_;
    if (!advice_.empty()) message_ += "; " + advice_;
  }
  ExitCode code() const noexcept { return code_; }
  const std::string& fact() const noexcept { return fact_; }
  const std::string& where() const noexcept { return where_; }
  const std::string& advice() const noexcept { return advice_; }
  const std::string& message() const noexcept { return message_; }  // the whole line, without line feed
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  ExitCode code_;
  std::string fact_, where_, advice_, message_;
};

}  // namespace swallowtail
