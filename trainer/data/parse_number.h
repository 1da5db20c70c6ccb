// Numbers of text cells: the whole cell, in the C locale, whatever the process's own.
#pragma once

#include <cstdint>
#include <string_view>

namespace swallowtail {

/// Writes `value` and returns nullptr, or returns why the text is no usable number: not a number, not finite, beyond
/// fp32's range. Blanks around the number are allowed.
const char* parse_number(std::string_view text, double& value);

/// The same for a whole number that int64 holds.
const char* parse_integer(std::string_view text, std::int64_t& value);

}  // namespace swallowtail
