#include "trainer/training/step_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <fstream>

#include "trainer/checkpoint/safetensors.h"

namespace swallowtail {

namespace {

/// Tensors and their bytes, in order.
class Tensors {
 public:
  template <typename T>
  void add(std::string name, std::vector<std::int64_t> shape, std::span<const T> values) {
    shapes_.push_back({std::move(name), sizeof(T) == 8 ? "I64" : "F32", std::move(shape)});
    bytes_.push_back(std::as_bytes(values));
  }
  void write(const std::filesystem::path& path) const {
    std::ofstream file(path, std::ios::binary);
    file << safetensors_header(shapes_);
    for (const auto bytes : bytes_)
      file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file)
      throw Error{ExitCode::resources, "the record could not be written", path.string(),
                  "look at the folder and its disk"};
  }

 private:
  std::vector<TensorShape> shapes_;
  std::vector<std::span<const std::byte>> bytes_;
};

}  // namespace

void record_steps(const std::filesystem::path& file, Session& session, const std::vector<Batch>& batches) {
  Tensors tensors;
  for (const DenseParameters::Entry& entry : session.dense.entries())
    tensors.add<float>(
        "dense." + entry.name, entry.shape,
        session.dense.weights().subspan(static_cast<std::size_t>(entry.first), static_cast<std::size_t>(entry.size)));
  std::vector<std::int64_t> sizes;
  for (const EmbeddingTable& table : session.tables) sizes.insert(sizes.end(), {table.rows, table.dim});
  tensors.add<std::int64_t>("tables", {std::ssize(session.tables), 2}, sizes);
  std::deque<std::vector<std::int64_t>> rows;  // deques: what the spans point to stays where it is
  std::deque<std::vector<float>> values;
  for (const TableShard& shard : session.embedding.shards()) {
    const EmbeddingTable& table = session.tables[static_cast<std::size_t>(shard.table)];
    std::vector<std::int64_t>& touched = rows.emplace_back();
    for (const Batch& batch : batches) {
      const auto& ids = batch.ids[static_cast<std::size_t>(table.feature)].values;
      touched.insert(touched.end(), ids.begin(), ids.end());
    }
    std::ranges::sort(touched);
    touched.erase(std::ranges::unique(touched).begin(), touched.end());
    std::vector<float>& of_rows = values.emplace_back();
    of_rows.reserve(touched.size() * static_cast<std::size_t>(table.dim));
    for (const std::int64_t row : touched) {
      const float* from = shard.weights.data() + shard.order.position(row) * table.dim;
      of_rows.insert(of_rows.end(), from, from + table.dim);
    }
    tensors.add<std::int64_t>(fmt::format("table.{}.rows", shard.table), {std::ssize(touched)}, touched);
    tensors.add<float>(fmt::format("table.{}.values", shard.table), {std::ssize(touched), table.dim}, of_rows);
  }
  for (std::size_t b = 0; b < batches.size(); ++b) {
    const Batch& batch = batches[b];
    const std::int64_t features = batch.size > 0 ? std::ssize(batch.dense) / batch.size : 0;
    tensors.add<float>(fmt::format("batch.{}.dense", b), {batch.size, features}, batch.dense);
    tensors.add<float>(fmt::format("batch.{}.labels", b), {batch.size}, batch.labels);
    for (std::size_t t = 0; t < session.tables.size(); ++t) {
      const JaggedIds& ids = batch.ids[static_cast<std::size_t>(session.tables[t].feature)];
      tensors.add<std::int64_t>(fmt::format("batch.{}.{}.values", b, t), {std::ssize(ids.values)}, ids.values);
      tensors.add<std::int64_t>(fmt::format("batch.{}.{}.offsets", b, t), {std::ssize(ids.offsets)}, ids.offsets);
    }
  }
  tensors.write(file);
}

}  // namespace swallowtail
