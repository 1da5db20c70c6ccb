#include "trainer/export/trained_model.h"

#include "parallel/error.h"
#include "trainer/checkpoint/named_step.h"
#include "trainer/checkpoint/table_piece.h"

namespace swallowtail {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kDense = "dense/", kDenseAverage = "dense_average/";

template <typename Value>
std::vector<Value> whole_array(const Checkpoint& checkpoint, const TrainedTable& table, const char* array,
                               std::int64_t planes) {
  const TablePiece whole{table.name, array, table.rows, table.dim, false, {0, 0, table.rows, 0, table.dim}, planes};
  std::vector<Value> values(static_cast<std::size_t>(table.rows * whole.row_elements()));
  fill_table_part(checkpoint, whole, sizeof(Value), std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace

TrainedModel TrainedModel::open(const fs::path& run_dir, const std::string& which, Weights weights) {
  if (!fs::exists(run_dir / "experiment.yaml"))
    throw Error{ExitCode::usage, "there is no run here", run_dir.string(),
                "name the run's directory, such as runs/quickstart"};
  Experiment experiment = Experiment::load(run_dir / "experiment.yaml", {});
  const fs::path checkpoints = run_dir / "checkpoints";
  TrainedModel model(std::move(experiment), Checkpoint::open(checkpoints, named_step(checkpoints, which)));
  const double decay = model.experiment_.number("train.average_decay");
  if (weights == Weights::average && decay <= 0)
    throw Error{ExitCode::usage, "the run keeps no average of its weights", run_dir.string(),
                "leave --weights out, or train with train.average_decay"};
  if (weights != Weights::raw && decay > 0) model.averaging_.emplace(decay);
  try {
    for (const auto& table : model.checkpoint_.state().at("tables"))
      model.tables_.push_back({table.at("name").get<std::string>(), table.at("feature").get<std::string>(),
                               table.at("rows").get<std::int64_t>(), table.at("dim").get<std::int64_t>(),
                               table.at("pooling").get<std::string>() == "mean", table.at("weighted").get<bool>()});
  } catch (const nlohmann::json::exception& error) {
    throw Error{ExitCode::damaged, "the checkpoint does not describe its tables", model.checkpoint_.folder().string(),
                "export a checkpoint of this version"};
  }
  for (const auto& [name, tensor] : model.checkpoint_.manifest().tensors) {
    if (!name.starts_with(kDense)) continue;
    TensorShape shape = tensor.shape;
    shape.name = name.substr(kDense.size());
    model.dense_.push_back(std::move(shape));
  }
  return model;
}

std::vector<float> TrainedModel::table(const TrainedTable& table) const {
  std::vector<float> weights = whole_array<float>(checkpoint_, table, "weights", 1);
  if (!averaging_) return weights;
  std::vector<float> average = whole_array<float>(checkpoint_, table, "average", 1);
  const auto settled = whole_array<std::int64_t>(checkpoint_, table, "average_step", 0);
  for (std::int64_t row = 0; row < table.rows; ++row) {
    if (settled[static_cast<std::size_t>(row)] >= checkpoint_.step()) continue;
    // Rows that no batch touched lag behind on purpose (kernels/weight_average.h).
    const auto rested =
        static_cast<float>(averaging_->product(settled[static_cast<std::size_t>(row)], checkpoint_.step()));
    for (std::int64_t i = row * table.dim; i < (row + 1) * table.dim; ++i) {
      const auto at = static_cast<std::size_t>(i);
      average[at] = weights[at] + rested * (average[at] - weights[at]);
    }
  }
  return average;
}

std::vector<float> TrainedModel::dense(const TensorShape& parameter) const {
  std::vector<float> values(static_cast<std::size_t>(parameter.bytes()) / sizeof(float));
  checkpoint_.read(std::string(averaging_ ? kDenseAverage : kDense) + parameter.name,
                   std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace swallowtail
