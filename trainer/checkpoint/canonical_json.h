// One text for one JSON value, so that it can be hashed: UTF-8, keys sorted by code point, no spaces, integers as they
// are. Floating-point numbers have many texts, so they are refused: record them with decimal().
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace swallowtail {

/// Errors: damaged for floating-point numbers, binary values and text that is not UTF-8.
std::string canonical_json(const nlohmann::json& value);

/// The same value with every floating-point number as text, the shortest that reads back to it: 0.1 -> "0.1".
/// Errors: numbers for NaN and infinities.
nlohmann::json with_decimals(nlohmann::json value);

}  // namespace swallowtail
