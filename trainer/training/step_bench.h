// Whole training steps beside the limits of the machine, for `swallowtail bench train`: the batches lie in memory
// before the clock starts, and every repeat measures steps and limits in turns. This header knows no torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

struct StepBenchOptions {
  int repeats = 7;
  std::int64_t steps = 0;        // in a repeat; 0: about half a second
  std::int64_t losses = 0;       // steps before the clock starts, whose losses are given
  std::filesystem::path record;  // initial weights and batches as safetensors, so that others can make the same steps
  bool limits = true;            // measure them too
  /// Asked on rank 0 before each repeat, told what came of it; false ends the measurement. Null: `repeats` repeats.
  std::function<bool()> wants_repeat;
  std::function<void(double samples_per_s)> repeated;
};

/// {samples_per_s, min, max, steps, seconds_a_step, repeats [..], phases {name → seconds a step}, losses [..],
///  limits {gemm, embedding, together: samples/s; row_gather, row_update: GB/s}, memory {peak_rss_bytes, tables,
///  optimizer_state, …: bytes}}. Collective; the same on every rank.
/// Errors: those of training.
nlohmann::json bench_steps(const Experiment& experiment, const StepBenchOptions& options, Communicator& ranks);

}  // namespace swallowtail
