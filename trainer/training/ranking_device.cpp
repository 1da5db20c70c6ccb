#include "trainer/training/ranking_device.h"

#include <fmt/format.h>

#include <optional>

#include "trainer/device/device_trainer.h"
#include "trainer/training/ranking_models.h"

namespace swallowtail {

namespace {

/// What of the experiment no device can do, as an error at its key.
std::optional<Error> obstacle(const Experiment& experiment, const Communicator& ranks) {
  const RankerEntry* const entry = ranking_entry(experiment);
  if (entry == nullptr || !entry->has_device_steps)
    return experiment.error("parallel.device", "only model.type: dlrm and bpr_mf train on a device",
                            "set parallel.device: cpu");
  if (ranks.world_size() > 1)
    return experiment.error("parallel.device", fmt::format("{} trains on a device with one rank", entry->name),
                            "start it without mpirun, or set parallel.device: cpu");
  if (experiment.text("train.precision") != "fp32")
    return experiment.error("train.precision", fmt::format("{} trains on a device in fp32", entry->name),
                            "set train.precision: fp32");
  return {};
}

/// With auto the CPU, for a reason; with cuda the reason is an error.
DeviceChoice on_cpu(const Experiment& experiment, const Error& reason) {
  if (experiment.text("parallel.device") == "cuda") throw Error(reason);
  return {.note = fmt::format("device: cpu ({})", reason.fact())};
}

}  // namespace

DeviceChoice choose_device_for_ranking(const Experiment& experiment, const Communicator& ranks) {
  const std::string asked = experiment.text("parallel.device");
  if (asked == "cpu") return {};
  const auto error = obstacle(experiment, ranks);
  if (error && asked == "cuda") throw Error(*error);
  if (devices_here(experiment) == 0) return {.note = why_no_device_here()};
  if (error) return on_cpu(experiment, *error);
  DeviceChoice choice{.on_device = true};
  choice.name = "cuda: " + device_backend()->name(choice.device);
  choice.note =
      fmt::format("device: {}, the whole step; triplets are drawn, and items scored, on the host", choice.name);
  return choice;
}

void use_device_for_ranking(RankingSession& session, DeviceChoice& choice) {
  if (!choice.on_device) return;
  if (const auto error = session.model->device_obstacle()) {
    choice = on_cpu(session.experiment, *error);
    return;
  }
  refuse_tables_that_do_not_fit(session.model->embedding()->shards(), choice.device,
                                "use fewer users, items or floats a vector, or parallel.device: cpu");
  session.model->use_device(choice.device);
}

}  // namespace swallowtail
