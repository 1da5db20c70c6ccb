#include "trainer/training/run_state.h"

#include "trainer/files/sha256.h"
#include "trainer/files/untrusted_json.h"
#include "trainer/training/table_pieces.h"

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
          {"validated_step", state.validated_step},
          {"epoch_loss", state.epoch_loss}};
}

RunState run_state_from_json(const json& saved) {
  RunState state;
  state.step = json_integer(saved.at("step"));
  state.epoch = json_integer(saved.at("epoch"));
  state.batch = json_integer(saved.at("batch"));
  state.samples = json_integer(saved.at("samples"));
  state.best_step = json_integer(saved.at("best_step"));
  if (!saved.at("best_metric").is_null()) state.best_metric = saved.at("best_metric").get<double>();
  state.worse_in_a_row = json_integer(saved.at("worse_in_a_row"));
  state.validated_step = json_integer(saved.at("validated_step"));
  state.epoch_loss = saved.at("epoch_loss");
  return state;
}

json tables_of_run(const Session& session) {
  json tables = json::array();
  for (std::size_t t = 0; t < session.tables.size(); ++t) {
    const EmbeddingTable& table = session.tables[t];
    tables.push_back(
        {{"name", table.name},
         {"feature", session.data.train->shape().categorical[static_cast<std::size_t>(table.feature)].name},
         {"rows", table.rows},
         {"dim", table.dim},
         {"weighted", session.data.train->shape().categorical[static_cast<std::size_t>(table.feature)].weighted},
         {"dtype", "F32"},
         {"pooling", table.pooling == Pooling::mean ? "mean" : "sum"},
         {"sharding", name_of(session.embedding.plan().tables[t].sharding)}});
  }
  return tables;
}

json saved_state(const Session& session, const RunState& state) {
  json saved = to_json(state);
  saved["data"] = session.data.fingerprint;
  saved["experiment_sha256"] = sha256(session.experiment.to_yaml());
  saved["order_seed"] = session.seed;
  saved["tables"] = tables_of_run(session);
  saved["dense_features"] = session.data.train->shape().dense;
  return saved;
}

std::vector<TensorRef> dense_tensors(DenseParameters& dense) {
  std::vector<TensorRef> tensors;
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
  restore_tables(checkpoint, embedding);
}

}  // namespace swallowtail
