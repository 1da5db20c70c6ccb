#include "trainer/data/data_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "trainer/config/nearest.h"

namespace swallowtail {
namespace {

Normalize normalize_of(const std::string& name) {
  return name == "none"       ? Normalize::none
         : name == "log"      ? Normalize::log
         : name == "standard" ? Normalize::standard
                              : Normalize::quantile;
}

BinBy bin_by_of(const std::string& name) {
  return name == "values" ? BinBy::values : name == "distinct" ? BinBy::distinct : BinBy::automatic;
}

IdEncoding encoding_of(const std::string& name) { return name == "hash" ? IdEncoding::hash : IdEncoding::vocabulary; }

ColumnOptions read_column(const Section& section, ColumnOptions options) {
  if (section.has("normalize")) options.normalize = normalize_of(section.text("normalize"));
  if (section.has("bins")) options.bins = section.integer("bins");
  if (section.has("bin_by")) options.bin_by = bin_by_of(section.text("bin_by"));
  if (section.has("encoding")) options.encoding = encoding_of(section.text("encoding"));
  if (section.has("min_count")) options.min_count = section.integer("min_count");
  if (section.has("hash_buckets")) options.hash_buckets = section.integer("hash_buckets");
  if (section.has("separator")) options.separator = section.text("separator");
  if (section.has("max_ids")) options.max_ids = section.integer("max_ids");
  return options;
}

char delimiter_of(const Experiment& experiment) {
  const std::string text = experiment.text("data.delimiter");
  if (text == "auto") return '\0';
  if (text == "tab" || text == "\\t") return '\t';
  if (text.size() != 1 || text == "\"" || text == "\n" || text == "\r")
    throw experiment.error("data.delimiter", fmt::format("'{}' is no delimiter", text),
                           "give one character, tab, or auto");
  return text[0];
}

std::vector<std::filesystem::path> paths_of(const Experiment& experiment, std::string_view key) {
  return experiment.has(key) ? experiment.paths(key) : std::vector<std::filesystem::path>{};
}

void check_columns(const Experiment& experiment, const DataOptions& options) {
  std::set<std::string, std::less<>> features;
  const auto check_list = [&](std::string_view key, const std::vector<std::string>& names) {
    std::set<std::string> seen;
    for (const auto& name : names) {
      if (!seen.insert(name).second)
        throw experiment.error(key, fmt::format("column '{}' is named twice", name), "name it once");
      if (options.source == "csv" && (name == options.label || name == options.weight))
        throw experiment.error(key,
                               fmt::format("column '{}' is the {} and may not be a feature", name,
                                           name == options.label ? "label" : "sample weight"),
                               "take it out of the list");
      features.insert(name);
    }
  };
  check_list("data.dense", options.dense);
  check_list("data.categorical", options.categorical);
  check_list("data.multi_hot", options.multi_hot);
  check_list("data.binned", options.binned);
  check_list("data.text", options.text);
  for (const auto& name : options.text)
    for (const auto* list : {&options.dense, &options.categorical, &options.multi_hot, &options.binned})
      if (std::ranges::count(*list, name))
        throw experiment.error("data.text", fmt::format("column '{}' is in another list too", name),
                               "keep one of them");
  for (const auto& name : options.multi_hot)
    if (std::ranges::count(options.categorical, name))
      throw experiment.error("data.multi_hot", fmt::format("column '{}' is in data.categorical too", name),
                             "keep one of them");
  for (const auto& [name, column] : options.columns)
    if (!features.contains(name)) {
      const std::vector<std::string_view> known(features.begin(), features.end());
      throw Error{ExitCode::usage, fmt::format("no list of data.* names the column '{}'", name), "data.columns." + name,
                  did_you_mean(name, known)};
    }
  for (const auto& text : options.positive_labels)
    if (std::ranges::count(options.negative_labels, text))
      throw experiment.error("data.negative_labels", fmt::format("'{}' is in data.positive_labels too", text),
                             "keep one of them");
}

}  // namespace

DataOptions data_options(const Experiment& experiment) {
  DataOptions options;
  options.source = experiment.text("data.source");
  options.train = paths_of(experiment, "data.train");
  options.validation = paths_of(experiment, "data.validation");
  options.test = paths_of(experiment, "data.test");
  options.split_validation = experiment.number("data.split.validation");
  options.split_test = experiment.number("data.split.test");
  const std::string split_by = experiment.text("data.split.by");
  options.is_split_in_order = split_by == "order";
  if (options.source != "interactions" && split_by != "order" && split_by != "random")
    throw experiment.error("data.split.by", fmt::format("'{}' splits interactions only", split_by),
                           "set it to random or order");
  if (options.train.empty())
    throw experiment.error("data.train", "no training files are named", "set data.train to a path, a list or a glob");
  if (options.split_validation > 0 && !options.validation.empty())
    throw experiment.error("data.split.validation", "data.validation is given too", "keep one of them");
  if (options.split_test > 0 && !options.test.empty())
    throw experiment.error("data.split.test", "data.test is given too", "keep one of them");
  if (options.split_validation + options.split_test >= 1)
    throw experiment.error("data.split.validation", "the shares leave nothing to train on",
                           "make them sum to less than 1");

  options.delimiter = delimiter_of(experiment);
  options.label = experiment.text("data.label");
  if (experiment.has("data.weight")) options.weight = experiment.text("data.weight");
  options.positive_labels = experiment.texts("data.positive_labels");
  options.negative_labels = experiment.texts("data.negative_labels");
  options.dense = experiment.texts("data.dense");
  options.categorical = experiment.texts("data.categorical");
  if (options.source == "criteo_tsv" && options.dense.empty() && options.categorical.empty()) {
    for (int i = 1; i <= 13; ++i) options.dense.push_back(fmt::format("I{}", i));
    for (int i = 1; i <= 26; ++i) options.categorical.push_back(fmt::format("C{}", i));
  }
  options.multi_hot = experiment.texts("data.multi_hot");
  options.binned = experiment.texts("data.binned");
  options.text = experiment.texts("data.text");
  if (!options.text.empty() && options.source != "csv" && options.source != "interactions")
    throw experiment.error("data.text", fmt::format("the source {} has no columns of text", options.source),
                           "take it out, or use the source csv or interactions");
  options.words = word_options(experiment);
  options.missing = experiment.texts("data.missing");
  options.has_missing_indicator = experiment.boolean("data.missing_indicator");

  auto& defaults = options.defaults;
  defaults.normalize = normalize_of(experiment.text("data.normalize"));
  // The reference preprocessing of Criteo's counts is ln(1 + max(x, 0)).
  if (options.source == "criteo_tsv" && !experiment.is_set("data.normalize")) defaults.normalize = Normalize::log;
  defaults.bins = experiment.integer("data.bins");
  defaults.bin_by = bin_by_of(experiment.text("data.bin_by"));
  defaults.encoding = encoding_of(experiment.text("data.encoding"));
  defaults.min_count = experiment.integer("data.min_count");
  defaults.hash_buckets = experiment.integer("data.hash_buckets");
  defaults.separator = experiment.text("data.separator");
  if (options.source != "interactions")  // there the names of data.columns are the parts that columns play
    for (const auto& [name, section] : experiment.named_sections("data.columns")) {
      if (section.has("name"))
        throw section.error("name", "only columns of interactions are given by a name", "give the column's own keys");
      options.columns.emplace(name, read_column(section, defaults));
    }

  options.hash_seed = static_cast<std::uint64_t>(experiment.integer("data.hash_seed"));
  options.seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  if (experiment.has("data.max_rows")) options.max_rows = experiment.integer("data.max_rows");
  if (experiment.has("data.index_space")) options.index_space = experiment.integer("data.index_space");
  options.field_starts = experiment.integers("data.field_starts");
  for (std::size_t field = 1; field < options.field_starts.size(); ++field)
    if (options.field_starts[field] <= options.field_starts[field - 1])
      throw experiment.error("data.field_starts", "the starts do not rise",
                             "give the first index of each field in order");
  if (options.index_space && !options.field_starts.empty() && options.field_starts.back() >= *options.index_space)
    throw experiment.error("data.field_starts", "the last field starts beyond data.index_space",
                           "raise data.index_space");
  options.is_quarantine = experiment.text("data.on_bad_row") == "quarantine";
  options.max_bad_fraction = experiment.number("data.max_bad_fraction");
  options.folds = fold_options(experiment);
  check_columns(experiment, options);
  return options;
}

WordOptions word_options(const Experiment& experiment) {
  return {.min_count = experiment.integer("data.text_min_count"),
          .most = experiment.integer("data.text_max_words"),
          .length = experiment.integer("data.text_length")};
}

ShuffleOptions shuffle_options(const Experiment& experiment) {
  const std::string kind = experiment.text("data.shuffle");
  return {.kind = kind == "none"     ? Shuffle::none
                  : kind == "blocks" ? Shuffle::blocks
                                     : Shuffle::global,
          .block = experiment.integer("data.shuffle_block"),
          .buffer = experiment.integer("data.shuffle_buffer")};
}

std::string encoding_options_text(const DataOptions& options) {
  const auto column = [](const ColumnOptions& c) {
    return nlohmann::json{static_cast<int>(c.normalize),
                          c.bins,
                          static_cast<int>(c.bin_by),
                          static_cast<int>(c.encoding),
                          c.min_count,
                          c.hash_buckets,
                          c.separator,
                          c.max_ids.value_or(0)};
  };
  nlohmann::json columns = nlohmann::json::object();
  for (const auto& [name, c] : options.columns) columns[name] = column(c);
  nlohmann::json json{{"source", options.source},
                      {"delimiter", static_cast<int>(options.delimiter)},
                      {"label", options.label},
                      {"weight", options.weight},
                      {"positive_labels", options.positive_labels},
                      {"negative_labels", options.negative_labels},
                      {"dense", options.dense},
                      {"categorical", options.categorical},
                      {"multi_hot", options.multi_hot},
                      {"binned", options.binned},
                      {"missing", options.missing},
                      {"missing_indicator", options.has_missing_indicator},
                      {"defaults", column(options.defaults)},
                      {"columns", columns},
                      {"hash_seed", options.hash_seed},
                      {"max_rows", options.max_rows.value_or(0)},
                      {"index_space", options.index_space.value_or(0)},
                      {"field_starts", options.field_starts}};
  if (!options.text.empty())
    json["text"] = {options.text, options.words.min_count, options.words.most, options.words.length};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace swallowtail
