// The stored form of an encoding. Numbers are written by nlohmann-json in the fewest digits that read back to the same
// double (at most 17). A category that is not UTF-8 is written as the list of its bytes.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "trainer/data/encoding.h"
#include "trainer/data/tokenizer.h"
#include "trainer/files/untrusted_json.h"

namespace swallowtail {
namespace {

using Json = nlohmann::json;

constexpr std::array kNormalizeNames{"none", "log", "standard", "quantile"};
constexpr std::array kKindNames{"vocabulary", "hash", "index", "bins"};

template <typename Enum, std::size_t Count>
Enum named(const std::array<const char*, Count>& names, const std::string& name) {
  for (std::size_t i = 0; i < Count; ++i)
    if (name == names[i]) return static_cast<Enum>(i);
  throw std::invalid_argument("unknown name '" + name + "'");
}

bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

Json word_json(const std::string& word) {
  return is_utf8(word) ? Json(word) : Json(std::vector<unsigned char>(word.begin(), word.end()));
}

std::string word_text(const Json& word) {
  if (word.is_string()) return word.get<std::string>();
  std::string bytes;
  for (const auto& byte : word.get_ref<const Json::array_t&>()) bytes += static_cast<char>(json_integer(byte));
  return bytes;
}

Json dense_json(const DenseColumn& column) {
  return {{"name", column.name},
          {"normalize", kNormalizeNames[static_cast<std::size_t>(column.normalize)]},
          {"mean", column.mean},
          {"deviation", column.deviation},
          {"knots", column.knots},
          {"ranks", column.ranks},
          {"indicator", column.has_indicator}};
}

DenseColumn dense_column(const Json& json) {
  DenseColumn column{.name = json.at("name"),
                     .normalize = named<Normalize>(kNormalizeNames, json.at("normalize")),
                     .has_indicator = json.at("indicator"),
                     .mean = json.at("mean"),
                     .deviation = json.at("deviation"),
                     .knots = json.at("knots"),
                     .ranks = json.at("ranks")};
  if (column.knots.size() != column.ranks.size()) throw std::invalid_argument("knots and ranks differ in number");
  if (!(column.deviation > 0)) throw std::invalid_argument("deviation is not positive");
  return column;
}

Json feature_json(const IdColumn& feature) {
  Json json{{"name", feature.name},
            {"kind", kKindNames[static_cast<std::size_t>(feature.kind)]},
            {"one_hot", feature.is_one_hot},
            {"weighted", feature.is_weighted},
            {"rows", feature.rows},
            {"mean_ids", feature.mean_ids},
            {"max_rows", feature.modulus},
            {"missing_row", feature.missing_row},
            {"buckets", feature.buckets},
            {"hash_seed", feature.hash_seed},
            {"first_index", feature.first_index},
            {"index_rows", feature.index_rows},
            {"unknown_index", feature.has_unknown_index},
            {"edges", feature.edges}};
  Json words = Json::array();
  for (const auto& word : feature.vocabulary.words()) words.push_back(word_json(word));
  json["words"] = std::move(words);
  return json;
}

/// Rows before the modulus, from the feature's own parts.
std::int64_t natural_rows(const IdColumn& feature) {
  switch (feature.kind) {
    case IdColumn::Kind::vocabulary:
      return 1 + feature.missing_row + static_cast<std::int64_t>(feature.vocabulary.words().size());
    case IdColumn::Kind::hash:
      return feature.buckets;
    case IdColumn::Kind::index:
      return feature.index_rows;
    case IdColumn::Kind::bins:
      return 2 + static_cast<std::int64_t>(feature.edges.size());
  }
  return 0;
}

IdColumn feature_column(const Json& json) {
  IdColumn feature;
  feature.name = json.at("name");
  feature.kind = named<IdColumn::Kind>(kKindNames, json.at("kind"));
  feature.is_one_hot = json.at("one_hot");
  feature.is_weighted = json.at("weighted");
  feature.rows = json_integer(json.at("rows"));
  feature.mean_ids = json.at("mean_ids");
  feature.modulus = json_integer(json.at("max_rows"));
  feature.missing_row = json_integer(json.at("missing_row"));
  feature.buckets = json_integer(json.at("buckets"));
  feature.hash_seed = json_integer<std::uint64_t>(json.at("hash_seed"));
  feature.first_index = json_integer(json.at("first_index"));
  feature.index_rows = json_integer(json.at("index_rows"));
  feature.has_unknown_index = json.at("unknown_index");
  feature.edges = json.at("edges").get<std::vector<double>>();
  std::vector<std::string> words;
  for (const auto& word : json.at("words")) words.push_back(word_text(word));
  feature.vocabulary = Vocabulary(std::move(words));
  // What is trusted when rows are encoded: an id is below `rows`.
  if (feature.missing_row < 0 || feature.missing_row > 1) throw std::invalid_argument("missing_row is neither 0 nor 1");
  if (feature.first_index < 0 || feature.buckets < 0) throw std::invalid_argument("a count is negative");
  const std::int64_t natural = natural_rows(feature);
  const std::int64_t expected = feature.modulus > 0 ? std::min(feature.modulus, natural) : natural;
  if (feature.rows < 1 || feature.modulus < 0 || feature.rows != expected)
    throw std::invalid_argument(
        fmt::format("feature '{}' has {} rows where {} are expected", feature.name, feature.rows, expected));
  return feature;
}

}  // namespace

std::string Encoding::to_json() const {
  Json json{{"format", 1}, {"label", label}, {"weights", has_weights}, {"options", options}};
  json["dense"] = Json::array();
  for (const auto& column : dense) json["dense"].push_back(dense_json(column));
  json["features"] = Json::array();
  for (const auto& feature : features) json["features"].push_back(feature_json(feature));
  for (const auto& text : texts)
    json["texts"].push_back({{"name", text.name}, {"length", text.length}, {"words", text.words.words()}});
  if (!texts.empty()) json["tokenizer"] = tokenizer_digest();
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Encoding Encoding::from_json(std::string_view text, const std::string& where) {
  try {
    const Json json = Json::parse(text);
    if (json.at("format") != 1) throw std::invalid_argument("unknown format");
    Encoding encoding;
    encoding.label = json.at("label");
    encoding.has_weights = json.at("weights");
    encoding.options = json.at("options");
    for (const auto& column : json.at("dense")) encoding.dense.push_back(dense_column(column));
    for (const auto& feature : json.at("features")) encoding.features.push_back(feature_column(feature));
    if (json.contains("texts")) {
      if (json.at("tokenizer") != tokenizer_digest())
        throw std::invalid_argument("its words were found by another tokenizer (another C library)");
      for (const auto& column : json.at("texts")) {
        encoding.texts.push_back({column.at("name"), json_integer(column.at("length")),
                                  WordList(column.at("words").get<std::vector<std::string>>())});
        if (encoding.texts.back().length < 1) throw std::invalid_argument("a text has no length");
      }
    }
    return encoding;
  } catch (const std::exception& failure) {  // nlohmann's and our own
    throw Error{ExitCode::damaged, fmt::format("the encoding cannot be read: {}", failure.what()), where,
                "prepare the data again: start the run with --force"};
  }
}

}  // namespace swallowtail
