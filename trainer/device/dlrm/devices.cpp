// What a program with devices offers: see device_trainer.h.
#include <fmt/format.h>

#include "kernels/cuda/devices.h"
#include "parallel/error.h"
#include "trainer/device/dlrm/device_bench.h"
#include "trainer/device/dlrm/dlrm_dense.h"
#include "trainer/device/dlrm/dlrm_trainer.h"
#include "trainer/device/dlrm/sharded_trainer.h"

namespace swallowtail {

namespace {

std::string name_of_device(int device) {
  const cuda::DeviceFacts facts = cuda::device_facts(device);
  return facts.multiprocessors == 0 ? facts.name
                                    : fmt::format("{} (sm_{}{}, {:.0f} GiB)", facts.name, facts.major, facts.minor,
                                                  static_cast<double>(facts.memory_bytes) / 0x1p30);
}

std::int64_t free_bytes_of(int device) { return cuda::device_facts(device).free_bytes; }

/// Bytes that the run's arrays take for sure; work space and batches come to it.
void refuse_what_does_not_fit(const DeviceModel& model, int device) {
  double floats = 0;
  for (const EmbeddingTable& table : model.tables) {
    const auto rows = static_cast<double>(table.rows), dim = static_cast<double>(table.dim);
    floats += rows * (dim + static_cast<double>(sparse_state_width(table.optimizer.kind, table.dim)));
    if (model.average_decay > 0) floats += rows * (dim + 1);
  }
  const double bytes = 4 * floats;
  const auto free = static_cast<double>(free_bytes_of(device));
  if (bytes <= free) return;
  throw Error{ExitCode::resources,
              fmt::format("the embedding tables need {:.2f} GiB of device memory and {:.2f} GiB are free",
                          bytes / 0x1p30, free / 0x1p30),
              fmt::format("device {}", device), "use more ranks, fewer or narrower tables, or parallel.device: cpu"};
}

std::unique_ptr<DeviceTrainer> make_trainer(const DeviceModel& model, int device) {
  cuda::use_device(device);
  refuse_what_does_not_fit(model, device);
  return std::make_unique<DlrmTrainer>(model);
}
std::unique_ptr<DeviceTrainer> make_sharded(const DeviceModel& model, const DeviceRanksOptions& ranks, int device) {
  cuda::use_device(device);
  return std::make_unique<ShardedTrainer>(model, ranks, device);
}
std::unique_ptr<DeviceDense> make_dense(const DeviceModel& model, int device) {
  cuda::use_device(device);
  return std::make_unique<DlrmDense>(model);
}

constexpr DeviceBackend kBackend{.count = cuda::device_count,
                                 .name = name_of_device,
                                 .free_bytes = free_bytes_of,
                                 .trainer = make_trainer,
                                 .sharded = make_sharded,
                                 .dense = make_dense,
                                 .bench = time_device};

}  // namespace

void use_devices() { set_device_backend(&kBackend); }

}  // namespace swallowtail
