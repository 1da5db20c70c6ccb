#include "trainer/checkpoint/canonical_json.h"

#include <fmt/format.h>

#include <cmath>

#include "parallel/error.h"

namespace swallowtail {

using nlohmann::json;

namespace {

bool is_canonical(const json& value) {
  if (value.is_structured()) {
    for (const json& inner : value)
      if (!is_canonical(inner)) return false;
    return true;
  }
  return !value.is_number_float() && !value.is_binary() && !value.is_discarded();
}

}  // namespace

std::string canonical_json(const json& value) {
  if (!is_canonical(value))
    throw Error{ExitCode::damaged, "a floating-point number has no canonical text", {}, "record it as a decimal text"};
  try {
    return value.dump();  // objects are ordered maps, whose bytes compare as UTF-8's code points do
  } catch (const json::exception& error) {
    throw Error{ExitCode::damaged, fmt::format("a text has no canonical form ({})", error.what())};
  }
}

json with_decimals(json value) {
  if (value.is_structured()) {
    for (json& inner : value) inner = with_decimals(std::move(inner));
  } else if (value.is_number_float()) {
    const double number = value.get<double>();
    if (!std::isfinite(number)) throw Error{ExitCode::numbers, "a number that is not finite cannot be recorded"};
    return fmt::format("{}", number);
  }
  return value;
}

}  // namespace swallowtail
