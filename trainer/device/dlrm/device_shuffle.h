// One way of the butterfly shuffle between devices: blocks of vectors that lie in matrices of this device go to the
// ranks that want them, and theirs into matrices here, packed into wire bytes on the way (kernels/cuda/wire.h). Both
// sides know all shapes, so no message says them. One call at a time. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cuda/wire.h"
#include "trainer/device/dlrm/device_ranks.h"

namespace swallowtail {

/// `vectors` vectors of `cols` floats, `stride` floats apart in device memory, for or from `rank`.
struct ShuffleBlock {
  int rank = 0;
  float* values = nullptr;
  std::int64_t stride = 0, vectors = 0, cols = 0;
};

class DeviceShuffle {
 public:
  struct Options {
    const char* operation;  // a literal
    Wire wire = Wire::fp32;
    std::uint64_t layout = 0;  // a hash of what the ranks must agree on beside operation and step
    bool overlap = true;       // off: start() returns when all has arrived
  };
  DeviceShuffle(const Options& options, DeviceRanks& ranks) : options_(options), ranks_(ranks) {}

  /// What every shuffle moves until the next call, by rank, in the order in which both sides of a pair name it. Nothing
  /// may be under way.
  void describe(std::span<const ShuffleBlock> send, std::span<const ShuffleBlock> recv, cuda::Stream& work);
  /// Collective. Sends what `work` will have written by now.
  void start(std::int64_t step, cuda::Stream& work);
  /// Later work on `work` sees what has arrived.
  void finish(cuda::Stream& work);

  /// Of all shuffles so far: bytes to other ranks, and seconds that the host waited for data of others once this device
  /// had packed its own.
  std::int64_t bytes_sent() const noexcept { return bytes_sent_; }
  double exposed_seconds() const noexcept { return exposed_seconds_; }

 private:
  struct Side {
    std::vector<std::int64_t> offsets;  // [P + 1] bytes
    cuda::DeviceBuffer<unsigned char> bytes;
    std::optional<cuda::WireBlocks> blocks;
    std::span<std::byte> span() const;
  };
  void lay_out(std::span<const ShuffleBlock> blocks, Side& side, cuda::Stream& work);
  void wait();

  Options options_;
  DeviceRanks& ranks_;
  Side send_, recv_;
  std::unique_ptr<Pending> pending_;
  std::int64_t bytes_ = 0, bytes_sent_ = 0;  // to other ranks, of a shuffle and of all
  double exposed_seconds_ = 0;
};

}  // namespace swallowtail
