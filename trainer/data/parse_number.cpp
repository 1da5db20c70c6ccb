#include "trainer/data/parse_number.h"

#include <charconv>
#include <cmath>
#include <limits>

namespace swallowtail {
namespace {

/// Without blanks around it and without a plus sign, which from_chars does not know.
std::string_view bare(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  return text;
}

}  // namespace

const char* parse_number(std::string_view text, double& value) {
  text = bare(text);
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status == std::errc::invalid_argument || stop != text.data() + text.size()) return "not a number";
  if (status == std::errc::result_out_of_range) return "number out of range";
  if (!std::isfinite(value)) return "not a finite number";
  if (std::abs(value) > std::numeric_limits<float>::max()) return "number beyond the range of fp32";
  return nullptr;
}

const char* parse_integer(std::string_view text, std::int64_t& value) {
  text = bare(text);
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status == std::errc::invalid_argument || stop != text.data() + text.size()) return "not a whole number";
  if (status == std::errc::result_out_of_range) return "number out of range";
  return nullptr;
}

}  // namespace swallowtail
