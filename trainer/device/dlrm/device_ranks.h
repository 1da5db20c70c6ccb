// The ranks' devices: a communicator over device memory, and the stream of this device on which it works, so that
// exchanges run beside the arithmetic. Made by every rank together. Not thread-safe.
#pragma once

#include <memory>

#include "kernels/cuda/device.h"
#include "parallel/communicator.h"

namespace swallowtail {

class DeviceRanks {
 public:
  /// host: outlives this. Errors: as make_nccl_communicator (parallel/nccl_communicator.h).
  DeviceRanks(Communicator& host, int device, double timeout_s);

  Communicator& communicator() noexcept { return *communicator_; }
  int rank() const noexcept { return communicator_->rank(); }
  int world_size() const noexcept { return communicator_->world_size(); }
  /// Calls that begin from now on wait for what `work` holds by now.
  void follow(cuda::Stream& work);
  /// Returns when what the last follow() saw is done.
  void wait_for_work() { work_.wait(); }

 private:
  cuda::Stream stream_;
  cuda::Event work_;
  std::unique_ptr<Communicator> communicator_;
};

}  // namespace swallowtail
