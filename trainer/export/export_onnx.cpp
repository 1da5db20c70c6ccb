#include "trainer/export/export_onnx.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "parallel/error.h"
#include "trainer/export/onnx_graph.h"

namespace swallowtail {

using nlohmann::json;

namespace {

constexpr auto kBatch = "batch";

/// DLRM, as trainer/models/dlrm.cpp computes it.
class DlrmGraph {
 public:
  DlrmGraph(const TrainedModel& model, OnnxGraph& graph) : model_(model), graph_(graph) {
    for (const TensorShape& parameter : model.dense()) parameters_[parameter.name] = &parameter;
    const std::vector<std::int64_t> one{1}, zero{0}, minus_one{-1};
    axis_1_ = graph_.constant("axis_1", {1}, one);
    axis_last_ = graph_.constant("axis_last", {1}, minus_one);
    id_0_ = graph_.constant("id_0", {}, zero);
  }

  void build() {
    const Experiment& experiment = model_.experiment();
    const auto& tables = model_.tables();
    const bool is_linear = experiment.boolean("model.linear");
    const std::size_t crossing = is_linear ? tables.size() / 2 : tables.size();
    std::vector<std::string> vectors;  // [batch, dim]
    std::string dense;
    if (const auto first = parameters_.find("bottom_mlp.0.weight"); first != parameters_.end()) {
      dense = "dense";
      graph_.input(dense, OnnxType::float32, {kBatch, fmt::format("{}", first->second->shape[1])});
      vectors.push_back(mlp(dense, "bottom_mlp", true));
    }
    for (std::size_t t = 0; t < crossing; ++t) {
      std::string vector = pooled(tables[t]);
      const std::string projection = fmt::format("projection_{}.weight", t);
      if (parameters_.contains(projection))
        vector = graph_.node("Gemm", {vector, parameter(projection)}, projection + ".out", {{"transB", 1}});
      vectors.push_back(vector);
    }
    const bool is_dot = experiment.text("model.interaction") == "dot";
    const std::string met = is_dot ? dot(vectors, experiment.boolean("model.interaction_itself"), !dense.empty())
                                   : graph_.node("Concat", vectors, "crossed", {{"axis", 1}});
    std::string logits = mlp(cross(met), "top_mlp", false);
    if (is_linear) {
      for (std::size_t t = crossing; t < tables.size(); ++t)
        logits = graph_.node("Add", {logits, pooled(tables[t])}, fmt::format("linear_{}", t));
      if (!dense.empty())
        logits = graph_.node("Add", {logits, graph_.node("MatMul", {dense, parameter("dense_linear")}, "dense_part")},
                             "linear_dense");
    }
    graph_.node("Identity", {logits}, "logits");
    graph_.node("Sigmoid", {logits}, "probabilities");
    for (const char* name : {"logits", "probabilities"})
      graph_.output(name, OnnxType::float32, {kBatch, fmt::format("{}", labels_)});
  }

  const std::vector<std::string>& ids() const noexcept { return ids_; }

 private:
  std::string parameter(const std::string& name) {
    const TensorShape& shape = *parameters_.at(name);
    return graph_.constant(name, shape.shape, model_.dense(shape));
  }

  std::string mlp(std::string x, const std::string& name, bool relu_last) {
    for (int layer = 0;; ++layer) {
      const std::string at = fmt::format("{}.{}", name, layer), next = fmt::format("{}.{}.weight", name, layer + 1);
      labels_ = parameters_.at(at + ".weight")->shape[0];
      x = graph_.node("Gemm", {x, parameter(at + ".weight"), parameter(at + ".bias")}, at + ".out", {{"transB", 1}});
      const bool is_last = !parameters_.contains(next);
      if (!is_last || relu_last) x = graph_.node("Relu", {x}, at + ".relu");
      if (is_last) return x;
    }
  }

  /// Through the cross network, where the model has one.
  std::string cross(const std::string& x0) {
    std::string x = x0;
    for (int layer = 0; parameters_.contains(fmt::format("cross.{}.bias", layer)); ++layer) {
      const std::string at = fmt::format("cross.{}", layer);
      const std::string inner = graph_.node("Gemm", {x, parameter(at + ".v.weight")}, at + ".v.out", {{"transB", 1}});
      const std::string product = graph_.node("Gemm", {inner, parameter(at + ".u.weight"), parameter(at + ".bias")},
                                              at + ".u.out", {{"transB", 1}});
      x = graph_.node("Add", {graph_.node("Mul", {x0, product}, at + ".share"), x}, at + ".out");
    }
    return x;
  }

  /// [batch, ids, 1]: 1 (or the id's weight) where there is an id, 0 where the bag has ended.
  std::string mask_of(const TrainedTable& table) {
    const std::string& feature = table.feature;
    const std::string ids = "ids_" + feature, mask = "mask_" + feature, count = "count_" + feature;
    if (!seen_.insert(feature).second) return mask;
    ids_.push_back(ids);
    graph_.input(ids, OnnxType::int64, {kBatch, "ids of " + feature});
    graph_.node("Max", {ids, id_0_}, "rows_" + feature);
    const std::string is_id = graph_.node("GreaterOrEqual", {ids, id_0_}, "is_id_" + feature);
    const std::string present =
        graph_.node("Cast", {is_id}, "present_" + feature, {{"to", static_cast<int>(OnnxType::float32)}});
    graph_.node("ReduceSum", {present, axis_1_}, count, {{"keepdims", 1}});
    std::string weight = present;
    if (table.has_weights) {
      graph_.input("weights_" + feature, OnnxType::float32, {kBatch, "ids of " + feature});
      weight = graph_.node("Mul", {present, "weights_" + feature}, "weighted_" + feature);
    }
    return graph_.node("Unsqueeze", {weight, axis_last_}, mask);
  }

  std::string pooled(const TrainedTable& table) {
    const std::string mask = mask_of(table), name = "embedding." + table.name;
    const std::string weights = graph_.constant(name + ".weight", {table.rows, table.dim}, model_.table(table));
    const std::string rows = graph_.node("Gather", {weights, "rows_" + table.feature}, name + ".rows", {{"axis", 0}});
    const std::string kept = graph_.node("Mul", {rows, mask}, name + ".kept");
    const std::string sum = graph_.node("ReduceSum", {kept, axis_1_}, name + ".sum", {{"keepdims", 0}});
    if (!table.is_mean) return sum;
    if (one_.empty()) one_ = graph_.constant("one", {}, std::vector<float>{1.0F});
    const std::string count = graph_.node("Max", {"count_" + table.feature, one_}, name + ".count");
    return graph_.node("Div", {sum, count}, name + ".mean");
  }

  /// The pairs below the diagonal, row by row, after the first vector.
  std::string dot(const std::vector<std::string>& vectors, bool itself, bool has_dense) {
    std::vector<std::string> rows;
    for (std::size_t i = 0; i < vectors.size(); ++i)
      rows.push_back(graph_.node("Unsqueeze", {vectors[i], axis_1_}, fmt::format("vector_{}", i)));
    const std::string stacked = graph_.node("Concat", rows, "vectors", {{"axis", 1}});
    const std::string products =
        graph_.node("MatMul", {stacked, graph_.transpose(stacked, {0, 2, 1}, "vectors_transposed")}, "products");
    const auto count = static_cast<std::int64_t>(vectors.size());
    const std::vector<std::int64_t> flat_shape{0, count * count};
    const std::string flat =
        graph_.node("Reshape", {products, graph_.constant("flat", {2}, flat_shape)}, "products_flat");
    std::vector<std::int64_t> pairs;
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t j = 0; j < i + (itself ? 1 : 0); ++j) pairs.push_back(i * count + j);
    const std::string chosen = graph_.constant("pairs", {static_cast<std::int64_t>(pairs.size())}, pairs);
    const std::string dots = graph_.node("Gather", {flat, chosen}, "dots", {{"axis", 1}});
    return has_dense ? graph_.node("Concat", {vectors[0], dots}, "crossed", {{"axis", 1}}) : dots;
  }

  const TrainedModel& model_;
  OnnxGraph& graph_;
  std::map<std::string, const TensorShape*> parameters_;
  std::set<std::string> seen_;
  std::vector<std::string> ids_;
  std::string axis_1_, axis_last_, id_0_, one_;
  std::int64_t labels_ = 1;  // outputs of the layer built last
};

}  // namespace

json export_onnx(const TrainedModel& model, const std::filesystem::path& file) {
  const std::string type = model.experiment().text("model.type");
  if (type != "dlrm")
    throw Error{ExitCode::usage, fmt::format("a model of type '{}' has no ONNX graph", type), "model.type",
                "export to safetensors or numpy"};
  if (!model.experiment().texts("data.text").empty())
    throw Error{ExitCode::usage, "a model with text has no ONNX graph", "data.text", "export to safetensors or numpy"};
  OnnxGraph graph(file);
  DlrmGraph dlrm(model, graph);
  dlrm.build();
  const auto digests = graph.finish(
      "dlrm", {{"manifest_sha256", model.checkpoint().digest()},
               {"step", fmt::format("{}", model.checkpoint().step())},
               {"dense_features", model.checkpoint().state().value("dense_features", json::array()).dump()}});
  return {{"file", file.string()}, {"sha256", digests}, {"inputs", dlrm.ids()}};
}

}  // namespace swallowtail
