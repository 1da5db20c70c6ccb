#include "trainer/tuning/search_space.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace swallowtail {
namespace {

/// Six digits: nobody needs more of a learning rate, and the text is then the number.
std::string number_text(double value) { return fmt::format("{:.6g}", value); }

SearchParameter parameter_of(const Section& section) {
  SearchParameter parameter;
  parameter.key = section.text("key");
  const std::string kind = section.text("kind");
  parameter.points = section.integer("points");
  if (kind == "choice") {
    parameter.values = section.texts("values");
    if (parameter.values.empty())
      throw section.error("values", fmt::format("{} has no values to choose from", parameter.key),
                          "give values: [A, B], or a kind with low and high");
    if (std::set<std::string>(parameter.values.begin(), parameter.values.end()).size() != parameter.values.size())
      throw section.error("values", fmt::format("a value of {} stands twice", parameter.key), "name each once");
    return parameter;
  }
  parameter.kind = kind.ends_with("int") ? SearchParameter::Kind::integer : SearchParameter::Kind::number;
  parameter.is_log = kind.starts_with("log_");
  for (const char* end : {"low", "high"})
    if (!section.has(end))
      throw section.error(end, fmt::format("{} has no {}", parameter.key, end), "give low and high");
  parameter.low = section.number("low");
  parameter.high = section.number("high");
  if (parameter.low > parameter.high)
    throw section.error("low", fmt::format("low is above high for {}", parameter.key), "exchange them");
  if (parameter.is_log && parameter.low <= 0)
    throw section.error("low", fmt::format("{} has no logarithm for {}", parameter.low, parameter.key),
                        "take a low above 0, or a kind without log_");
  if (parameter.kind == SearchParameter::Kind::integer &&
      (parameter.low != std::floor(parameter.low) || parameter.high != std::floor(parameter.high)))
    throw section.error("low", fmt::format("the range of {} has ends that are no integers", parameter.key),
                        "give integers");
  return parameter;
}

}  // namespace

std::string SearchParameter::value_at(double unit) const {
  if (kind == Kind::choice) {
    const auto index = static_cast<std::size_t>(unit * static_cast<double>(values.size()));
    return values[std::min(index, values.size() - 1)];
  }
  // An integer i stands for [i, i + 1); ends of the logarithm are halved steps, so that low and high are as likely.
  const bool is_integer = kind == Kind::integer;
  double value = 0;
  if (is_log) {
    const double from = is_integer ? low - 0.5 : low, to = is_integer ? high + 0.5 : high;
    value = std::exp(std::log(from) + unit * (std::log(to) - std::log(from)));
    if (is_integer) value = std::round(value);
  } else {
    value = is_integer ? std::floor(low + unit * (high - low + 1)) : low + unit * (high - low);
  }
  value = std::clamp(value, low, high);
  return is_integer ? fmt::format("{}", static_cast<std::int64_t>(value)) : number_text(value);
}

double SearchParameter::unit_of(const std::string& value) const {
  if (kind == Kind::choice) {
    const auto index = std::ranges::find(values, value) - values.begin();
    return (static_cast<double>(index) + 0.5) / static_cast<double>(values.size());
  }
  const double number = std::stod(value);
  const bool is_integer = kind == Kind::integer;
  double unit = 0;
  if (is_log) {
    const double from = is_integer ? low - 0.5 : low, to = is_integer ? high + 0.5 : high;
    unit = to > from ? (std::log(number) - std::log(from)) / (std::log(to) - std::log(from)) : 0.5;
  } else if (is_integer) {
    unit = (number - low + 0.5) / (high - low + 1);
  } else {
    unit = high > low ? (number - low) / (high - low) : 0.5;
  }
  return std::clamp(unit, 0.0, 1.0);
}

std::vector<std::string> SearchParameter::grid() const {
  if (kind == Kind::choice) return values;
  std::vector<std::string> found;
  for (std::int64_t point = 0; point < points; ++point) {
    const double share = points == 1 ? 0.5 : static_cast<double>(point) / static_cast<double>(points - 1);
    double value =
        is_log ? std::exp(std::log(low) + share * (std::log(high) - std::log(low))) : low + share * (high - low);
    if (kind == Kind::integer) value = std::round(value);
    value = std::clamp(value, low, high);
    const std::string text =
        kind == Kind::integer ? fmt::format("{}", static_cast<std::int64_t>(value)) : number_text(value);
    if (found.empty() || found.back() != text) found.push_back(text);
  }
  return found;
}

std::vector<SearchParameter> search_space(const Experiment& experiment) {
  std::vector<SearchParameter> space;
  for (const Section& section : experiment.sections("tune.parameters")) {
    space.push_back(parameter_of(section));
    const std::string& key = space.back().key;
    if (std::ranges::count(space, key, &SearchParameter::key) > 1)
      throw section.error("key", fmt::format("{} is searched twice", key), "join the two");
    for (const char* fixed : {"tune", "run", "extends", "evaluation.fold"})
      if (key == fixed || key.starts_with(std::string(fixed) + ".") || key.starts_with("evaluation.folds"))
        throw section.error("key", fmt::format("{} cannot be searched", key), "search keys of the training");
  }
  if (space.empty())
    throw experiment.error("tune.parameters", "nothing is searched",
                           "tune: {parameters: [{key: train.learning_rate, kind: log_uniform, low: 1e-4, high: 0.1}]}");
  return space;
}

std::vector<std::string> overrides_of(const std::vector<SearchParameter>& space, const SearchPoint& point) {
  std::vector<std::string> overrides;
  for (std::size_t p = 0; p < space.size(); ++p) overrides.push_back(space[p].key + "=" + point[p]);
  return overrides;
}

}  // namespace swallowtail
