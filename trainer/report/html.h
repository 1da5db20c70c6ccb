// Small pieces of HTML that the report and its plots share.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace swallowtail {

/// Text for an element or a quoted attribute: & < > " ' become entities; control characters, which HTML forbids, and
/// broken UTF-8 become U+FFFD.
std::string escape_html(std::string_view text);

/// "1,234,567"
std::string grouped(std::int64_t number);

/// Six significant digits without trailing zeros, "undefined" for NaN: the way the report prints a measured value.
std::string readable(double value);

/// "412 MiB", binary units.
std::string readable_bytes(double bytes);

}  // namespace swallowtail
