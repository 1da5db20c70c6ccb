#include "trainer/training/run_state.h"

namespace swallowtail {

using nlohmann::json;

json to_json(const RunState& state) {
  return {{"step", state.step},
          {"epoch", state.epoch},
          {"batch", state.batch},
          {"samples", state.samples},
          {"best_step", state.best_step},
          {"best_metric", state.best_metric ? json(*state.best_metric) : json(nullptr)},
          {"worse_in_a_row", state.worse_in_a_row},
          {"epoch_loss", state.epoch_loss}};
}

RunState run_state_from_json(const json& saved) {
  RunState state;
  state.step = saved.at("step");
  state.epoch = saved.at("epoch");
  state.batch = saved.at("batch");
  state.samples = saved.at("samples");
  state.best_step = saved.at("best_step");
  if (!saved.at("best_metric").is_null()) state.best_metric = saved.at("best_metric").get<double>();
  state.worse_in_a_row = saved.at("worse_in_a_row");
  state.epoch_loss = saved.at("epoch_loss");
  return state;
}

namespace {

template <typename T>
TensorRef tensor(std::string name, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  return {std::move(name), sizeof(T) == 8 ? "I64" : "F32", std::move(shape), std::as_bytes(std::span(values))};
}

std::string table_key(const EmbeddingTable& table, const char* part) { return "embedding/" + table.name + "/" + part; }

}  // namespace

std::vector<TensorRef> checkpoint_tensors(DenseParameters& dense, ShardedEmbedding& embedding, bool with_dense) {
  std::vector<TensorRef> tensors;
  if (with_dense) {
    for (const auto& entry : dense.entries()) {
      const auto part = [&](std::span<float> all) {
        return std::as_bytes(all.subspan(static_cast<std::size_t>(entry.first), static_cast<std::size_t>(entry.size)));
      };
      tensors.push_back({"dense/" + entry.name, "F32", entry.shape, part(dense.weights())});
      if (!dense.average().empty())
        tensors.push_back({"dense_average/" + entry.name, "F32", entry.shape, part(dense.average())});
    }
    tensors.push_back({"dense_optimizer_state",
                       "F32",
                       {static_cast<std::int64_t>(dense.state().size())},
                       std::as_bytes(dense.state())});
  }
  for (const TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    tensors.push_back(tensor(table_key(table, "weights"), {table.rows, table.dim}, shard.weights));
    const std::int64_t width = table.rows > 0 ? static_cast<std::int64_t>(shard.state.size()) / table.rows : 0;
    tensors.push_back(tensor(table_key(table, "optimizer_state"), {table.rows, width}, shard.state));
    if (shard.average.empty()) continue;
    tensors.push_back(tensor(table_key(table, "average"), {table.rows, table.dim}, shard.average));
    tensors.push_back(tensor(table_key(table, "average_step"), {table.rows}, shard.average_step));
  }
  return tensors;
}

void restore(const Checkpoint& checkpoint, DenseParameters& dense, ShardedEmbedding& embedding) {
  for (const auto& entry : dense.entries()) {
    const auto part = [&](std::span<float> all) {
      return std::as_writable_bytes(
          all.subspan(static_cast<std::size_t>(entry.first), static_cast<std::size_t>(entry.size)));
    };
    checkpoint.read("dense/" + entry.name, part(dense.weights()));
    if (!dense.average().empty()) checkpoint.read("dense_average/" + entry.name, part(dense.average()));
  }
  checkpoint.read("dense_optimizer_state", std::as_writable_bytes(dense.state()));
  for (TableShard& shard : embedding.shards()) {
    const EmbeddingTable& table = embedding.tables()[shard.table];
    checkpoint.read(table_key(table, "weights"), std::as_writable_bytes(std::span(shard.weights)));
    checkpoint.read(table_key(table, "optimizer_state"), std::as_writable_bytes(std::span(shard.state)));
    if (shard.average.empty()) continue;
    checkpoint.read(table_key(table, "average"), std::as_writable_bytes(std::span(shard.average)));
    checkpoint.read(table_key(table, "average_step"), std::as_writable_bytes(std::span(shard.average_step)));
  }
}

}  // namespace swallowtail
