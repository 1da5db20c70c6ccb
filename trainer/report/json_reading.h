// Reads summary.json for the page: what is absent or of another kind is nothing, never an error.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "trainer/report/html.h"

namespace swallowtail {

inline std::optional<double> number_in(const nlohmann::json& object, std::string_view key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number() || !std::isfinite(found->get<double>())) return {};
  return found->get<double>();
}

inline std::string text_in(const nlohmann::json& object, std::string_view key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>()
                            : found->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The member, or null.
inline const nlohmann::json& member_of(const nlohmann::json& object, std::string_view key) {
  static const nlohmann::json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

/// The same where it is a list, else an empty one.
inline const nlohmann::json& list_in(const nlohmann::json& object, std::string_view key) {
  static const nlohmann::json kEmpty = nlohmann::json::array();
  const nlohmann::json& found = member_of(object, key);
  return found.is_array() ? found : kEmpty;
}

/// Fixed decimals, so that a column of values lines up; six significant digits where they would say too little or too
/// much.
inline std::string metric_text(double value, int decimals) {
  const double size = std::abs(value);
  return size < 1000 && (size == 0 || size >= 0.001) ? fmt::format("{:.{}f}", value, decimals) : readable(value);
}

}  // namespace swallowtail
