// The weights of a run's checkpoint as a user of the model sees them: whole tables, rows in their own order, dense
// parameters by name, averaged weights where the run keeps an average.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kernels/weight_average.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

struct TrainedTable {
  std::string name, feature;  // the feature whose ids look rows up
  std::int64_t rows = 0, dim = 0;
  bool is_mean = false;      // pooling; else sum
  bool has_weights = false;  // ids carry weights
};

enum class Weights : std::uint8_t { usual, raw, average };  // usual: the average where there is one

class TrainedModel {
 public:
  /// `which`: best, last, step-<n>. Errors: usage where the run, the checkpoint or the average does not exist; damaged.
  static TrainedModel open(const std::filesystem::path& run_dir, const std::string& which, Weights weights);

  const Experiment& experiment() const noexcept { return experiment_; }
  const Checkpoint& checkpoint() const noexcept { return checkpoint_; }
  const std::vector<TrainedTable>& tables() const noexcept { return tables_; }
  const std::vector<TensorShape>& dense() const noexcept { return dense_; }  // by name, without a prefix
  bool is_averaged() const noexcept { return averaging_.has_value(); }

  /// [rows, dim] row-major. Holds one table, three with an average. Errors: damaged.
  std::vector<float> table(const TrainedTable& table) const;
  std::vector<float> dense(const TensorShape& parameter) const;

 private:
  TrainedModel(Experiment experiment, Checkpoint checkpoint)
      : experiment_(std::move(experiment)), checkpoint_(std::move(checkpoint)) {}
  Experiment experiment_;
  Checkpoint checkpoint_;
  std::vector<TrainedTable> tables_;
  std::vector<TensorShape> dense_;
  std::optional<Averaging> averaging_;  // averaged weights are asked for
};

}  // namespace swallowtail
