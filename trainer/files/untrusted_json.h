// JSON and whole numbers out of files that nobody vouches for.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace swallowtail {

inline constexpr std::int64_t kLargestCount = std::int64_t{1} << 60;  // of rows, bytes, steps: sums of a few still fit

/// A discarded value where the text is no JSON, or nested deeper than 64 levels: what walks over values recurses.
nlohmann::json parse_untrusted_json(std::string_view text);

/// Nothing where it is no integer, negative, or beyond all reason.
inline std::optional<std::int64_t> json_count(const nlohmann::json& value) {
  if (!value.is_number_integer()) return {};
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(kLargestCount)) return {};
  const auto count = value.get<std::int64_t>();
  if (count < 0 || count > kLargestCount) return {};
  return count;
}

/// As get<Integer>(), which for a number that is no integer, such as 1e300, is undefined. Errors: json::type_error.
template <typename Integer = std::int64_t>
Integer json_integer(const nlohmann::json& value) {
  if (!value.is_number_integer()) throw nlohmann::json::type_error::create(302, "type must be a whole number", &value);
  return value.get<Integer>();
}

}  // namespace swallowtail
