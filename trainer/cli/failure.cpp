#include "trainer/cli/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <new>
#include <string_view>
#include <system_error>
#include <thread>

#include "parallel/error.h"

namespace swallowtail::cli {
namespace {

Failure from_error(const Error& error) {
  std::string line = error.message();
  if (error.code() == ExitCode::stopped) {  // what was asked for: not an error
    line = "swallowtail: " + error.fact();
    if (!error.advice().empty()) line += "; " + error.advice();
  }
  std::ranges::replace(line, '\n', ' ');
  const int code = static_cast<int>(error.code());
  return {
      code, line, {{"error", error.fact()}, {"exit_code", code}, {"where", error.where()}, {"advice", error.advice()}}};
}

/// LibTorch's messages go on with a stack trace; the first line is the fact.
std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

Error resources(const std::string& fact, const std::string& where, std::string advice) {
  return Error{ExitCode::resources, fact, where, std::move(advice)};
}

bool is_out_of_space(const std::error_code& code) {
  return code == std::errc::no_space_on_device || code == std::errc::permission_denied ||
         code == std::errc::read_only_file_system || code == std::errc::too_many_files_open ||
         code == std::errc::not_enough_memory || code.value() == EDQUOT;
}

}  // namespace

Failure describe_failure(const std::exception_ptr& thrown) {
  const std::string less_memory = "lower train.batch_size or the tables' rows and dims, or use more ranks";
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return from_error(error);
  } catch (const std::bad_alloc&) {
    return from_error(resources("out of memory", {}, less_memory));
  } catch (const std::filesystem::filesystem_error& error) {
    if (is_out_of_space(error.code()))
      return from_error(resources(error.code().message(), error.path1(), "make room or correct the permissions"));
    return from_error(Error{static_cast<ExitCode>(1), first_line(error.what()), {}, "please report this as a bug"});
  } catch (const std::exception& error) {
    const std::string fact = first_line(error.what());
    if (fact.find("can't allocate memory") != std::string::npos || fact.find("CUDA out of memory") != std::string::npos)
      return from_error(resources(fact, {}, less_memory));
    return from_error(Error{static_cast<ExitCode>(1), fact, {}, "this was not foreseen: please report it as a bug"});
  } catch (...) {
    return from_error(Error{static_cast<ExitCode>(1), "an unknown exception", {}, "please report it as a bug"});
  }
}

void report_failure(const Failure& failure, int rank, bool as_json) {
  if (rank != 0) std::this_thread::sleep_for(std::chrono::milliseconds(4000 + std::min(rank, 20) * 50));
  fmt::print(stderr, "{}\n", failure.line);
  std::fflush(stderr);
  if (as_json) fmt::print("{}\n", failure.json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  std::fflush(stdout);
}

}  // namespace swallowtail::cli
