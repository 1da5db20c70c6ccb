#include "trainer/data/prepared_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "parallel/error.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kMaxManifestBytes = std::int64_t{64} << 20;
constexpr std::size_t kMaxFeatures = 1'000'000;

Error damaged(std::string_view why, const std::string& where) {
  return Error{ExitCode::data, fmt::format("the prepared data are damaged: {}", why), where,
               "prepare them again: start the run with --force"};
}

std::string dump(const Json& json) { return json.dump(1, ' ', false, Json::error_handler_t::replace); }

/// Refuses a wrong type, which nlohmann would convert (2.5 to 2, true to 1).
std::int64_t count_at(const Json& json, const char* key) {
  const Json& value = json.at(key);
  if (!value.is_number_integer() || value.get<std::int64_t>() < 0)
    throw std::invalid_argument(fmt::format("{} is no count", key));
  return value.get<std::int64_t>();
}

Json features_json(const PreparedManifest& manifest) {
  Json list = Json::array();
  for (std::size_t f = 0; f < manifest.is_one_hot.size(); ++f) {
    const auto& feature = manifest.shape.categorical[f];
    list.push_back({{"name", feature.name},
                    {"rows", feature.rows},
                    {"mean_ids", feature.mean_ids},
                    {"weighted", feature.weighted},
                    {"one_hot", static_cast<bool>(manifest.is_one_hot[f])}});
  }
  return list;
}

/// Sizes that must agree, computed so that no claim can overflow.
void check_sizes(const PreparedManifest& manifest) {
  const auto expect = [&](StoredFileKind kind, std::int64_t count, std::int64_t bytes_each) {
    const auto bytes = manifest.files[kind].bytes;
    if (count > std::numeric_limits<std::int64_t>::max() / bytes_each || count * bytes_each != bytes)
      throw std::invalid_argument(fmt::format("{} entries of {} bytes do not make the {} bytes of .{}", count,
                                              bytes_each, bytes, kStoredFileNames[kind]));
  };
  if (manifest.shape.dense.size() > kMaxFeatures || manifest.is_one_hot.size() > kMaxFeatures ||
      manifest.shape.texts.size() > kMaxFeatures)
    throw std::invalid_argument("too many features");
  expect(kRowsFile, manifest.rows, manifest.record_bytes());
  expect(kIdsFile, manifest.ids, manifest.id_bytes());
  expect(kIdWeightsFile, manifest.has_id_weights() ? manifest.ids : 0, 4);
}

}  // namespace

std::int64_t PreparedManifest::one_hot() const { return std::ranges::count(is_one_hot, true); }

bool PreparedManifest::has_id_weights() const {
  return std::ranges::any_of(shape.categorical, &CategoricalFeature::weighted);
}

std::int64_t PreparedManifest::id_bytes() const {
  const auto is_small = [](const auto& column) { return column.rows <= std::int64_t{1} << 32; };
  return std::ranges::all_of(shape.categorical, is_small) && std::ranges::all_of(shape.texts, is_small) ? 4 : 8;
}

std::int64_t PreparedManifest::record_bytes() const {
  const auto dense = static_cast<std::int64_t>(shape.dense.size());
  return 4 * (dense + 1 + has_weights) + one_hot() * id_bytes() + (jagged() > 0 ? 8 + 4 * jagged() : 0) + 4 + 8;
}

std::string PreparedManifest::to_json() const {
  Json json{{"format", 1},
            {"key", key},
            {"rows", rows},
            {"ids", ids},
            {"rows_read", rows_read},
            {"rows_quarantined", rows_quarantined},
            {"weights", has_weights},
            {"dense", shape.dense},
            {"labels", shape.labels},
            {"categorical", features_json(*this)}};
  for (const auto& text : shape.texts) json["texts"].push_back({{"name", text.name}, {"rows", text.rows}});
  json["sources"] = Json::array();
  for (const auto& source : sources)
    json["sources"].push_back({{"path", source.path.string()}, {"bytes", source.bytes}, {"sha256", source.sha256}});
  json["files"] = Json::array();
  for (const auto& file : files) json["files"].push_back({{"bytes", file.bytes}, {"sha256", file.sha256}});
  json["digest"] = sha256(dump(json));
  return dump(json) + "\n";
}

PreparedManifest PreparedManifest::from_json(std::string_view text, const std::string& where) {
  try {
    Json json = Json::parse(text);
    const std::string digest = json.at("digest");
    json.erase("digest");
    if (sha256(dump(json)) != digest) throw std::invalid_argument("the digest does not fit");
    if (json.at("format") != 1) throw std::invalid_argument("unknown format");
    PreparedManifest manifest;
    manifest.key = json.at("key");
    manifest.rows = count_at(json, "rows");
    manifest.ids = count_at(json, "ids");
    manifest.rows_read = count_at(json, "rows_read");
    manifest.rows_quarantined = count_at(json, "rows_quarantined");
    manifest.has_weights = json.at("weights");
    manifest.shape.dense = json.at("dense").get<std::vector<std::string>>();
    manifest.shape.labels = json.at("labels").get<std::vector<std::string>>();
    if (manifest.shape.labels.size() != 1) throw std::invalid_argument("there is not one label");
    for (const Json& feature : json.at("categorical")) {
      manifest.shape.categorical.push_back({.name = feature.at("name"),
                                            .rows = count_at(feature, "rows"),
                                            .mean_ids = feature.at("mean_ids"),
                                            .weighted = feature.at("weighted")});
      manifest.is_one_hot.push_back(feature.at("one_hot"));
      if (manifest.is_one_hot.back() && manifest.shape.categorical.back().weighted)
        throw std::invalid_argument("a one-hot feature is weighted");
    }
    if (json.contains("texts"))
      for (const Json& column : json.at("texts"))
        manifest.shape.texts.push_back({.name = column.at("name"), .rows = count_at(column, "rows")});
    for (const Json& source : json.at("sources"))
      manifest.sources.push_back({.path = source.at("path").get<std::string>(),
                                  .bytes = count_at(source, "bytes"),
                                  .sha256 = source.at("sha256")});
    if (json.at("files").size() != kStoredFiles) throw std::invalid_argument("a file is not listed");
    for (std::size_t kind = 0; kind < kStoredFiles; ++kind)
      manifest.files[kind] = {.bytes = count_at(json["files"][kind], "bytes"),
                              .sha256 = json["files"][kind].at("sha256")};
    check_sizes(manifest);
    return manifest;
  } catch (const std::exception& failure) {  // nlohmann's and our own
    throw damaged(failure.what(), where);
  }
}

std::filesystem::path stored_path(const std::filesystem::path& directory, std::string_view split, StoredFileKind kind) {
  return directory / fmt::format("{}.{}", split, kStoredFileNames[kind]);
}

std::filesystem::path manifest_path(const std::filesystem::path& directory, std::string_view split) {
  return directory / fmt::format("{}.json", split);
}

PreparedManifest read_manifest(const std::filesystem::path& directory, std::string_view split) {
  const auto path = manifest_path(directory, split);
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw Error{ExitCode::data, "the prepared data have no manifest", path.string(),
                "prepare them again: start the run with --force"};
  std::error_code failure;
  const auto bytes = std::filesystem::file_size(path, failure);
  if (failure || static_cast<std::int64_t>(bytes) > kMaxManifestBytes)
    throw damaged("the manifest is too large", path.string());
  std::string text(bytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(bytes));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return PreparedManifest::from_json(text, path.string());
}

}  // namespace swallowtail
