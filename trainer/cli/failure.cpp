#include "trainer/cli/failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <new>
#include <string_view>
#include <system_error>

#include "parallel/error.h"

namespace swallowtail::cli {
namespace {

constexpr auto kUnforeseen = static_cast<ExitCode>(1);

bool may_be_alone(ExitCode code) {
  return code == ExitCode::data || code == ExitCode::resources || code == kUnforeseen;
}

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

/// What was thrown, as one of ours.
Error as_error(const std::exception_ptr& thrown) {
  const std::string less_memory = "lower train.batch_size or the tables' rows and dims, or use more ranks";
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return resources("out of memory", {}, less_memory);
  } catch (const std::filesystem::filesystem_error& error) {
    if (is_out_of_space(error.code()))
      return resources(error.code().message(), error.path1(), "make room or correct the permissions");
    return Error{kUnforeseen, first_line(error.what()), {}, "please report this as a bug"};
  } catch (const std::exception& error) {
    const std::string fact = first_line(error.what());
    if (fact.find("can't allocate memory") != std::string::npos || fact.find("CUDA out of memory") != std::string::npos)
      return resources(fact, {}, less_memory);
    return Error{kUnforeseen, fact, {}, "this was not foreseen: please report it as a bug"};
  } catch (...) {
    return Error{kUnforeseen, "an unknown exception", {}, "please report it as a bug"};
  }
}

}  // namespace

Failure describe_failure(const std::exception_ptr& thrown, const std::string& whereabouts) {
  const Error error = as_error(thrown);
  if (whereabouts.empty() || !may_be_alone(error.code())) return from_error(error);
  const std::string where = error.where().empty() ? whereabouts : error.where() + ", " + whereabouts;
  return from_error(Error{error.code(), error.fact(), where, error.advice()});
}

void report_failure(const Failure& failure, bool as_json) {
  fmt::print(stderr, "{}\n", failure.line);
  std::fflush(stderr);
  if (as_json) fmt::print("{}\n", failure.json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  std::fflush(stdout);
}

}  // namespace swallowtail::cli
