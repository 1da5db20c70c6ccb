#include "trainer/checkpoint/manifest.h"

#include <fmt/format.h>

#include <stdexcept>

#include "parallel/error.h"
#include "trainer/files/untrusted_json.h"

namespace swallowtail {

using nlohmann::json;

namespace {

constexpr int kFormat = 2;

Error damaged(const std::filesystem::path& where, std::string fact) {
  return Error{ExitCode::damaged, std::move(fact), where.string(), "use an older checkpoint"};
}

std::int64_t count(const json& from, const char* key) {
  const auto value = json_count(from.at(key));
  if (!value) throw std::out_of_range(key);
  return *value;
}

json to_json(const TablePiece& piece) {
  json place = {{"table", piece.table},
                {"array", piece.array},
                {"table_rows", piece.table_rows},
                {"dim", piece.dim},
                {"order", piece.is_hashed ? "hashed" : "as_they_stand"},
                {"first_row", piece.shard.first_row},
                {"rows", piece.shard.rows},
                {"first_col", piece.shard.first_col},
                {"cols", piece.shard.cols},
                {"planes", piece.planes}};
  if (!piece.rows_in.empty()) place["rows_in"] = piece.rows_in;
  return place;
}

TablePiece piece_from_json(const json& place) {
  TablePiece piece;
  piece.table = place.at("table").get<std::string>();
  piece.array = place.at("array").get<std::string>();
  piece.table_rows = count(place, "table_rows");
  piece.dim = count(place, "dim");
  const auto order = place.at("order").get<std::string>();
  if (order != "hashed" && order != "as_they_stand") throw std::out_of_range("order");
  piece.is_hashed = order == "hashed";
  piece.shard = {0, count(place, "first_row"), count(place, "rows"), count(place, "first_col"), count(place, "cols")};
  piece.planes = count(place, "planes");
  piece.rows_in = place.value("rows_in", "");
  if (piece.shard.first_row + piece.shard.rows > piece.table_rows ||
      piece.shard.first_col + piece.shard.cols > piece.dim || piece.planes > 16 || piece.dim > 1 << 24)
    throw std::out_of_range("piece");
  return piece;
}

/// Elements times size, or nothing where that is beyond all reason.
std::optional<std::int64_t> checked_bytes(const TensorShape& tensor) {
  std::int64_t bytes = dtype_bytes(tensor.dtype);
  if (bytes == 0) return {};
  for (const std::int64_t extent : tensor.shape) {
    if (extent < 0 || (extent > 0 && bytes > kLargestCount / extent)) return {};
    bytes *= extent;
  }
  return bytes;
}

}  // namespace

json to_json(const TensorEntry& tensor) {
  json entry = {
      {"dtype", tensor.shape.dtype}, {"shape", tensor.shape.shape}, {"file", tensor.file}, {"offset", tensor.offset}};
  if (tensor.piece) entry["piece"] = to_json(*tensor.piece);
  return entry;
}

TensorEntry tensor_from_json(const std::string& name, const json& entry, std::span<const BlockIndex> files,
                             const std::filesystem::path& where) {
  const auto bad = [&](std::string_view what) {
    return damaged(where, fmt::format("the manifest's {} of tensor '{}' cannot be true", what, name));
  };
  try {
    TensorEntry tensor;
    tensor.shape = {name, entry.at("dtype").get<std::string>(), {}};
    for (const json& extent : entry.at("shape")) {
      const auto value = json_count(extent);
      if (!value) throw bad("shape");
      tensor.shape.shape.push_back(*value);
    }
    const auto bytes = checked_bytes(tensor.shape);
    if (!bytes) throw bad("shape");
    tensor.file = static_cast<std::size_t>(count(entry, "file"));
    tensor.offset = count(entry, "offset");
    if (tensor.file >= files.size()) throw bad("file");
    if (tensor.offset > files[tensor.file].content || *bytes > files[tensor.file].content - tensor.offset)
      throw bad("place");
    if (entry.contains("piece")) {
      tensor.piece = piece_from_json(entry.at("piece"));
      const TablePiece& piece = *tensor.piece;
      const auto& shape = tensor.shape.shape;
      if (shape.size() != 2 || shape[1] != piece.row_elements() ||
          (piece.rows_in.empty() && shape[0] != piece.shard.rows))
        throw bad("piece");
    }
    return tensor;
  } catch (const std::out_of_range& error) {
    throw bad(error.what());
  } catch (const json::exception&) {
    throw bad("description");
  }
}

std::string to_text(const Manifest& manifest) {
  json files = json::array(), tensors = json::object();
  for (const BlockIndex& file : manifest.files) files.push_back(swallowtail::to_json(file));
  for (const auto& [name, tensor] : manifest.tensors) tensors[name] = to_json(tensor);
  json all = {{"format", kFormat},       {"step", manifest.step},     {"world_size", manifest.world_size},
              {"state", manifest.state}, {"files", std::move(files)}, {"tensors", std::move(tensors)}};
  if (manifest.base_step) all["base"] = {{"step", *manifest.base_step}, {"manifest_sha256", manifest.base_digest}};
  return all.dump(1) + "\n";
}

Manifest parse_manifest(const std::string& text, const std::filesystem::path& where) {
  const json all = parse_untrusted_json(text);
  if (!all.is_object()) throw damaged(where, "the manifest is no JSON object");
  if (all.value("format", json()) != kFormat)
    throw damaged(where, fmt::format("the manifest is of format {} and this program reads {}",
                                     all.value("format", json()).dump(), kFormat));
  try {
    Manifest manifest;
    manifest.step = count(all, "step");
    manifest.world_size = static_cast<int>(count(all, "world_size"));
    manifest.state = all.at("state");
    if (all.contains("base")) {
      manifest.base_step = count(all.at("base"), "step");
      manifest.base_digest = all.at("base").at("manifest_sha256").get<std::string>();
    }
    for (const json& file : all.at("files")) {
      manifest.files.push_back(block_index_from_json(file, where));
      for (std::size_t i = 0; i + 1 < manifest.files.size(); ++i)
        if (manifest.files[i].name == manifest.files.back().name)
          throw damaged(where, fmt::format("the manifest names '{}' twice", manifest.files[i].name));
    }
    for (const auto& [name, entry] : all.at("tensors").items())
      manifest.tensors.emplace(name, tensor_from_json(name, entry, manifest.files, where));
    for (const auto& [name, tensor] : manifest.tensors) {
      if (!tensor.piece || tensor.piece->rows_in.empty()) continue;
      const auto rows = manifest.tensors.find(tensor.piece->rows_in);
      if (!manifest.base_step || rows == manifest.tensors.end() || rows->second.shape.dtype != "I64" ||
          rows->second.shape.shape != std::vector<std::int64_t>{tensor.shape.shape[0]})
        throw damaged(where, fmt::format("the manifest's rows of tensor '{}' cannot be true", name));
    }
    return manifest;
  } catch (const std::out_of_range& error) {
    throw damaged(where, fmt::format("the manifest's {} cannot be true", error.what()));
  } catch (const json::exception& error) {
    throw damaged(where, fmt::format("the manifest cannot be understood ({})", error.what()));
  }
}

}  // namespace swallowtail
