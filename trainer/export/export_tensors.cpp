#include "trainer/export/export_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <utility>

#include "parallel/error.h"
#include "trainer/checkpoint/save.h"
#include "trainer/checkpoint/table_piece.h"
#include "trainer/files/durable_file.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string name_of(const TrainedTable& table) { return fmt::format("embedding.{}.weight", table.name); }

/// Every tensor in turn: its shape, and its values when they are wanted.
template <typename Function>
void each_tensor(const TrainedModel& model, Function function) {
  for (const TensorShape& parameter : model.dense()) function(parameter, [&] { return model.dense(parameter); });
  for (const TrainedTable& table : model.tables())
    function(TensorShape{name_of(table), "F32", {table.rows, table.dim}}, [&] { return model.table(table); });
}

/// Header of the .npy format 1.0: magic, version, length, a Python literal padded to 64 bytes.
std::string npy_header(const TensorShape& tensor) {
  std::string shape;
  for (const std::int64_t extent : tensor.shape) shape += fmt::format("{}, ", extent);
  std::string text = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape);
  constexpr std::size_t kBefore = 10;
  text.append(63 - (kBefore + text.size()) % 64, ' ');
  text += '\n';
  const auto size = static_cast<std::uint16_t>(text.size());
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(size & 0xFF) + static_cast<char>(size >> 8) + text;
}

/// A table's name as part of a file's name.
std::string file_name(const std::string& tensor) {
  std::string name;
  for (const char c : tensor) name += is_plain_name(std::string(1, 'x') + c) ? c : '_';
  return name + ".npy";
}

}  // namespace

json export_safetensors(const TrainedModel& model, const fs::path& path) {
  std::vector<TensorShape> shapes;
  each_tensor(model, [&](const TensorShape& shape, const auto&) { shapes.push_back(shape); });
  DurableFile file(path);
  file.write(safetensors_header(shapes));
  each_tensor(model, [&](const TensorShape&, const auto& values) {
    const std::vector<float> all = values();
    file.write(std::as_bytes(std::span(all)));
  });
  const std::string digest = file.commit();
  return {{"file", path.string()}, {"sha256", digest}, {"tensors", shapes.size()}};
}

json export_numpy(const TrainedModel& model, const fs::path& folder) {
  make_folder_durably(folder);
  json digests = json::object();
  each_tensor(model, [&](const TensorShape& shape, const auto& values) {
    const std::string name = file_name(shape.name);
    if (digests.contains(name))
      throw Error{ExitCode::usage, fmt::format("two tensors would both be {}", name), folder.string(),
                  "export to safetensors instead"};
    DurableFile file(folder / name);
    file.write(npy_header(shape));
    const std::vector<float> all = values();
    file.write(std::as_bytes(std::span(all)));
    digests[name] = file.commit();
  });
  const std::size_t count = digests.size();
  return {{"folder", folder.string()}, {"sha256", std::move(digests)}, {"tensors", count}};
}

json export_resharded(const TrainedModel& model, const fs::path& folder, int world_size) {
  const Checkpoint& from = model.checkpoint();
  // One description of each array of each table, from any of its pieces; the base has all that an increment has.
  const Manifest& whole = from.base() != nullptr ? from.base()->manifest() : from.manifest();
  std::vector<std::pair<TablePiece, std::string>> arrays;  // with dtype
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& [name, tensor] : whole.tensors)
    if (tensor.piece && seen.insert({tensor.piece->table, tensor.piece->array}).second)
      arrays.emplace_back(*tensor.piece, tensor.shape.dtype);
  begin_checkpoint(folder, from.step());
  std::vector<json> reports;
  for (int rank = 0; rank < world_size; ++rank) {
    std::vector<std::vector<std::byte>> buffers;
    std::vector<TensorRef> mine;
    const auto add = [&](std::string name, const std::string& dtype, std::vector<std::int64_t> shape,
                         std::vector<std::byte> bytes, std::optional<TablePiece> piece) {
      buffers.push_back(std::move(bytes));
      mine.push_back({std::move(name), dtype, std::move(shape), buffers.back(), std::move(piece)});
    };
    for (const auto& [piece, dtype] : arrays) {
      TablePiece part = piece;
      const std::int64_t first = piece.table_rows * rank / world_size, end = piece.table_rows * (rank + 1) / world_size;
      part.is_hashed = false;
      part.shard = {rank, first, end - first, 0, piece.dim};
      std::vector<std::byte> bytes(
          static_cast<std::size_t>(part.shard.rows * part.row_elements() * dtype_bytes(dtype)));
      fill_table_part(from, part, dtype_bytes(dtype), bytes);
      add(fmt::format("embedding/{}/{}@b,{},{},0,{}", part.table, part.array, first, end - first, part.dim), dtype,
          {part.shard.rows, part.row_elements()}, std::move(bytes), part);
    }
    for (const auto& [name, tensor] : from.manifest().tensors) {
      if (rank != 0 || !name.starts_with("dense")) continue;
      std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.shape.bytes()));
      from.read(name, bytes);
      add(name, tensor.shape.dtype, tensor.shape.shape, std::move(bytes), {});
    }
    reports.push_back(write_shard(partial_folder(folder, from.step()), mine, rank, {}));
  }
  try {
    const std::string digest = publish_checkpoint(folder, {from.step(), from.state()}, reports);
    return {{"folder", checkpoint_folder(folder, from.step()).string()}, {"manifest_sha256", digest}};
  } catch (const Error&) {
    abandon_checkpoint(folder, from.step());
    throw;
  }
}

json inspect(const TrainedModel& model, int threads) {
  const Checkpoint& checkpoint = model.checkpoint();
  json tables = json::array(), dense = json::array(), files = json::array();
  std::int64_t bytes = checkpoint.verify(threads);
  if (checkpoint.base() != nullptr) bytes += checkpoint.base()->verify(threads);
  const auto measures = [](const std::vector<float>& values) {
    double squares = 0, largest = 0;
    std::int64_t not_finite = 0;
    for (const float value : values) {
      squares += static_cast<double>(value) * value;
      largest = std::max(largest, std::abs(static_cast<double>(value)));
      not_finite += std::isfinite(value) ? 0 : 1;
    }
    return json{{"norm", std::sqrt(squares)}, {"largest", largest}, {"not_finite", not_finite}};
  };
  for (const TrainedTable& table : model.tables()) {
    json one = {{"name", table.name}, {"rows", table.rows}, {"dim", table.dim}, {"bytes", table.rows * table.dim * 4}};
    one.update(measures(model.table(table)));
    tables.push_back(std::move(one));
  }
  for (const TensorShape& parameter : model.dense()) {
    json one = {{"name", parameter.name}, {"shape", parameter.shape}};
    one.update(measures(model.dense(parameter)));
    dense.push_back(std::move(one));
  }
  for (const BlockIndex& file : checkpoint.manifest().files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return {{"checkpoint", checkpoint.folder().string()},
          {"step", checkpoint.step()},
          {"manifest_sha256", checkpoint.digest()},
          {"world_size", checkpoint.manifest().world_size},
          {"base_step", checkpoint.base() != nullptr ? json(checkpoint.base()->step()) : json(nullptr)},
          {"weights", model.is_averaged() ? "average" : "raw"},
          {"checked_bytes", bytes},
          {"ok", true},
          {"tables", tables},
          {"dense", dense},
          {"files", files}};
}

}  // namespace swallowtail
