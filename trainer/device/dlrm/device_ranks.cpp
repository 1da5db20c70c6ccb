#include "trainer/device/dlrm/device_ranks.h"

#include "parallel/nccl_communicator.h"

namespace swallowtail {

DeviceRanks::DeviceRanks(Communicator& host, int device, double timeout_s)
    : communicator_(make_nccl_communicator(
          host, {.device = device, .stream = static_cast<CUstream_st*>(stream_.handle()), .timeout_s = timeout_s})) {}

void DeviceRanks::follow(cuda::Stream& work) {
  work_.record(work);
  stream_.wait_for(work_);
}

}  // namespace swallowtail
