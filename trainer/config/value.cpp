#include "trainer/config/value.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "trainer/config/nearest.h"
#include "trainer/config/yaml_reader.h"

namespace swallowtail::config {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A reader of one key's values; holds what every message needs.
class ValueParser {
 public:
  ValueParser(const Key& key, const std::string& path) : key_(key), path_(path) {}

  Value parse(const Node& node) const {
    if (node.shape == Node::Shape::null) return null(node);
    switch (key_.kind) {
      case Kind::boolean:
        return boolean(scalar(node, "true or false"));
      case Kind::integer:
        return integer(scalar(node, "an integer"));
      case Kind::number:
        return number(scalar(node, "a number"));
      case Kind::text:
        return sized_text(scalar(node, "text"));
      case Kind::choice:
        return choice(scalar(node, "text"));
      case Kind::path:
        return file_path(scalar(node, "a path"));
      case Kind::paths:
        if (node.shape == Node::Shape::scalar) return std::vector{file_path(node)};
        return list<std::string>(node, "a path or a list of paths", "a path", &ValueParser::file_path);
      case Kind::integers:
        return list<std::int64_t>(node, "a list of integers", "an integer", &ValueParser::integer);
      case Kind::numbers:
        return list<double>(node, "a list of numbers", "a number", &ValueParser::number);
      case Kind::texts:
        return list<std::string>(node, "a list of texts", "text", &ValueParser::text);
    }
    return {};
  }

 private:
  [[noreturn]] void fail(const Node& node, std::string what, std::string advice) const {
    throw Error{ExitCode::usage, std::move(what), node.place.words(), std::move(advice)};
  }
  [[noreturn]] void wrong_type(const Node& node, std::string_view wanted, std::string advice = {}) const {
    std::string got;
    switch (node.shape) {
      case Node::Shape::null:
        got = "null";
        break;
      case Node::Shape::scalar:
        got = (node.is_quoted ? "the text " : "") + in_quotes(node.text);
        break;
      case Node::Shape::list:
        got = "a list";
        break;
      case Node::Shape::map:
        got = "a map";
        break;
    }
    fail(node, fmt::format("{} expects {}, got {}", path_, wanted, got), std::move(advice));
  }

  Value null(const Node& node) const {
    if (key_.is_optional()) return {};
    wrong_type(
        node, fmt::format("{}", key_.kind == Kind::choice ? type_words(key_) : "a value"),
        key_.is_required() ? "set it" : fmt::format("remove the key to get its default, {}", key_.default_value));
  }

  const Node& scalar(const Node& node, std::string_view wanted) const {
    if (node.shape != Node::Shape::scalar) wrong_type(node, wanted);
    return node;
  }

  bool boolean(const Node& node) const {
    if (node.is_plain_scalar()) {
      if (node.text == "true" || node.text == "True" || node.text == "TRUE") return true;
      if (node.text == "false" || node.text == "False" || node.text == "FALSE") return false;
    }
    wrong_type(node, "true or false", "write true or false, without quotes");
  }

  /// The digits as from_chars may see them; refuses what other readers of YAML take for something else.
  std::string_view digits(const Node& node, std::string_view wanted) const {
    const std::string_view text = node.text;
    if (node.is_quoted) wrong_type(node, wanted, "remove the quotes");
    if (text.find("${") != std::string_view::npos)
      wrong_type(node, wanted, fmt::format("only text and paths take ${{…}}; use the override {}=…", path_));
    const std::string_view magnitude = text.substr(text.starts_with('-') ? 1 : 0);
    if (magnitude.size() > 1 && magnitude[0] == '0' && is_digit(magnitude[1]))
      wrong_type(node, wanted, "remove the leading zeros, which some readers of YAML take for octal");
    if (text.find('_') != std::string_view::npos) wrong_type(node, wanted, "write digits without '_'");
    return text;
  }

  std::int64_t integer(const Node& node) const {
    const std::string_view text = digits(node, "an integer");
    const char* const end = text.data() + text.size();
    std::int64_t value = 0;
    auto [rest, code] = std::from_chars(text.data(), end, value);
    bool is_overflow = code == std::errc::result_out_of_range;
    if (code == std::errc{} && rest != end && (*rest == 'e' || *rest == 'E')) {  // 5e6
      int exponent = 0;
      rest += rest + 1 != end && rest[1] == '+' ? 2 : 1;
      const bool is_number = rest != end && is_digit(*rest);
      const auto power = std::from_chars(rest, end, exponent);
      if (!is_number || power.ptr != end) wrong_type(node, "an integer");
      rest = power.ptr;
      is_overflow = value != 0 && (power.ec != std::errc{} || exponent > 18);
      for (; value != 0 && !is_overflow && exponent > 0; --exponent)
        is_overflow = __builtin_mul_overflow(value, std::int64_t{10}, &value);
    } else if (code == std::errc::invalid_argument || rest != end) {
      double real = 0;
      const auto as_real = std::from_chars(text.data(), end, real);
      const bool is_real = as_real.ec == std::errc{} && as_real.ptr == end && std::isfinite(real);
      wrong_type(node, "an integer", is_real ? "write it without a decimal point" : "");
    }
    if (is_overflow)
      fail(node, fmt::format("{} is {}, beyond 64-bit integers", path_, in_quotes(text)), range_advice());
    check_range(node, static_cast<double>(value));
    return value;
  }

  double number(const Node& node) const {
    const std::string_view text = digits(node, "a number");
    const char* const end = text.data() + text.size();
    double value = 0;
    const auto [rest, code] = std::from_chars(text.data(), end, value);
    if (code == std::errc::result_out_of_range && rest == end)
      fail(node, fmt::format("{} is {}, beyond 64-bit floats", path_, in_quotes(text)), range_advice());
    if (code != std::errc{} || rest != end) wrong_type(node, "a number");
    if (!std::isfinite(value)) wrong_type(node, "a finite number");
    check_range(node, value);
    return value;
  }

  std::string range_advice() const {
    const std::string words = key_.range.words();
    return words.empty() ? words : fmt::format("give a value {}", words);
  }
  void check_range(const Node& node, double value) const {
    if (!key_.range.contains(value)) fail(node, fmt::format("{} is {}", path_, in_quotes(node.text)), range_advice());
  }

  std::string text(const Node& node) const { return expand_environment(node.text, node.place); }
  std::string sized_text(const Node& node) const {
    std::string value = text(node);
    check_length(node, value.size(), "characters");
    return value;
  }
  std::string file_path(const Node& node) const {
    std::string value = text(node);
    if (value.empty()) fail(node, fmt::format("{} is an empty path", path_), "name a file");
    return absolute_path(value, node.place);
  }
  std::string choice(const Node& node) const {
    for (const auto known : key_.choices)
      if (known == node.text) return node.text;
    fail(node, fmt::format("unknown value {} for {}", in_quotes(node.text), path_),
         did_you_mean(node.text, key_.choices));
  }

  template <typename Element>
  std::vector<Element> list(const Node& node, std::string_view wanted, std::string_view wanted_element,
                            Element (ValueParser::*element)(const Node&) const) const {
    if (node.shape != Node::Shape::list) wrong_type(node, wanted, "write [A, B]");
    std::vector<Element> values;
    for (const auto& item : node.items) {
      if (item.shape == Node::Shape::null && key_.kind == Kind::texts)
        wrong_type(item, wanted_element, "write 'null' or '' in quotes if that is meant");
      values.push_back((this->*element)(scalar(item, fmt::format("{} as each element", wanted_element))));
    }
    check_length(node, values.size(), "elements");
    return values;
  }

  void check_length(const Node& node, std::size_t length, std::string_view of) const {
    const auto [low, high] = key_.length;
    if (length >= low && length <= high) return;
    const std::string wanted = low == high    ? fmt::format("{}", low)
                               : length < low ? fmt::format("at least {}", low)
                                              : fmt::format("at most {}", high);
    fail(node, fmt::format("{} has {} {}", path_, length, of), fmt::format("give {} {}", wanted, of));
  }

  const Key& key_;
  const std::string& path_;
};

}  // namespace

Value parse_value(const Key& key, const Node& node, const std::string& path) {
  return ValueParser(key, path).parse(node);
}

Value default_value(const Key& key) {
  const auto source = std::make_shared<Source>(Source{fmt::format("default of {}", key.path), {}, true});
  Node node = read_yaml(fmt::format("default: {}", key.default_value), source);
  return parse_value(key, node.entries[0].value, std::string(key.path));
}

std::string expand_environment(const std::string& text, const Place& place) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.compare(at, 3, "$${") == 0) {
      out += "${";
      at += 3;
    } else if (text.compare(at, 2, "${") == 0) {
      const std::size_t close = text.find('}', at);
      if (close == std::string::npos)
        throw Error{ExitCode::usage, fmt::format("'${{' without '}}' in {}", in_quotes(text)), place.words(),
                    "close it, or write $${ for the characters themselves"};
      const std::string name = text.substr(at + 2, close - at - 2);
      const char* const value = std::getenv(name.c_str());
      if (value == nullptr)
        throw Error{ExitCode::usage, fmt::format("environment variable {} is not set", in_quotes(name)), place.words(),
                    "export it, or write $${ for the characters themselves"};
      out += value;
      at = close + 1;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::string absolute_path(const std::string& text, const Place& place) {
  return (place.source->directory / text).lexically_normal().string();
}

}  // namespace swallowtail::config
