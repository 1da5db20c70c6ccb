#include "trainer/training/device_choice.h"

#include <fmt/format.h>

#include "parallel/error.h"
#include "trainer/device/device_trainer.h"

namespace swallowtail {

int devices_here(const Experiment& experiment) {
  const DeviceBackend* const backend = device_backend();
  const int count = backend ? backend->count() : 0;
  if (count > 0 || experiment.text("parallel.device") != "cuda") return count;
  if (!backend)
    throw experiment.error("parallel.device", "parallel.device is cuda, and this program was built without CUDA",
                           "build the cuda preset (docs/GPU.md), or set parallel.device: cpu");
  throw experiment.error("parallel.device", "parallel.device is cuda, and there is no CUDA device here",
                         "see nvidia-smi and swallowtail doctor, or set parallel.device: cpu");
}

std::string why_no_device_here() { return device_backend() ? "device: cpu (there is no CUDA device here)" : ""; }

double table_bytes(std::span<const TableShard> shards) {
  double floats = 0;
  for (const TableShard& shard : shards)
    floats += static_cast<double>(shard.weights.size() + shard.state.size() + shard.average.size() +
                                  shard.average_step.size());
  return 4 * floats;
}

void refuse_tables_that_do_not_fit(std::span<const TableShard> shards, int device, const char* advice) {
  const double bytes = table_bytes(shards), free = static_cast<double>(device_backend()->free_bytes(device));
  if (bytes <= free) return;
  throw Error{ExitCode::resources,
              fmt::format("the embedding tables need {:.2f} GiB of device memory and {:.2f} GiB are free",
                          bytes / 0x1p30, free / 0x1p30),
              fmt::format("device {}", device), advice};
}

}  // namespace swallowtail
