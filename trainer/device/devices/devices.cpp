// What a program with devices offers: see device_trainer.h.
#include <fmt/format.h>

#include "kernels/cuda/devices.h"
#include "trainer/device/dlrm/device_bench.h"
#include "trainer/device/dlrm/dlrm_dense.h"
#include "trainer/device/dlrm/dlrm_trainer.h"
#include "trainer/device/dlrm/sharded_trainer.h"
#include "trainer/device/factors/bpr_trainer.h"
#include "trainer/device/factors/factor_bench.h"

namespace swallowtail {

namespace {

std::string name_of_device(int device) {
  const cuda::DeviceFacts facts = cuda::device_facts(device);
  return facts.multiprocessors == 0 ? facts.name
                                    : fmt::format("{} (sm_{}{}, {:.0f} GiB)", facts.name, facts.major, facts.minor,
                                                  static_cast<double>(facts.memory_bytes) / 0x1p30);
}

std::int64_t free_bytes_of(int device) { return cuda::device_facts(device).free_bytes; }

std::unique_ptr<DeviceTrainer> make_trainer(const DeviceModel& model, int device) {
  cuda::use_device(device);
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
std::unique_ptr<FactorTrainer> make_factors(const FactorModel& model, int device) {
  cuda::use_device(device);
  return std::make_unique<BprTrainer>(model);
}

std::vector<DeviceTiming> time_device(const DeviceBenchOptions& options, int device) {
  cuda::use_device(device);
  std::vector<DeviceTiming> timings;
  const DeviceLimits limits = time_limits(options, timings);
  time_embedding(options, limits, timings);
  time_dense_kernels(options, limits, timings);
  time_factors(options, limits, timings);
  if (is_wanted(options, "step")) time_steps(options, device, timings);
  return timings;
}

constexpr DeviceBackend kBackend{.count = cuda::device_count,
                                 .name = name_of_device,
                                 .free_bytes = free_bytes_of,
                                 .trainer = make_trainer,
                                 .sharded = make_sharded,
                                 .dense = make_dense,
                                 .factors = make_factors,
                                 .bench = time_device};

}  // namespace

void use_devices() { set_device_backend(&kBackend); }

}  // namespace swallowtail
