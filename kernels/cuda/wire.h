// Embedding vectors to and from the bytes of kernels/wire.h on the device, with the host's bits (a NaN may be another
// NaN). A block's vectors need not lie together: so the columns of a table in the pooled matrix go straight into the
// bytes for their rank, and back, without a permutation in between; Wire::fp32 is that permutation alone.
// All pointers are device memory; calls return at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/wire.h"

namespace swallowtail::cuda {

/// One block: `vectors` vectors of `cols` floats, `stride` floats apart, and its wire_bytes().
struct WireBlock {
  float* values = nullptr;
  std::int64_t stride = 0, vectors = 0, cols = 0;
  unsigned char* bytes = nullptr;  // 4-byte aligned
};

/// The blocks of one message, on both sides. fp16 needs their largest values first, which are kept here.
class WireBlocks {
 public:
  WireBlocks(std::span<const WireBlock> blocks, Stream& stream);
  const WireBlock* on_device() const noexcept { return device_.data(); }
  std::int64_t count() const noexcept { return device_.size(); }
  std::int64_t largest() const noexcept { return largest_; }  // values of a block
  unsigned* maxima() noexcept { return maxima_.data(); }

 private:
  DeviceBuffer<WireBlock> device_;
  DeviceBuffer<unsigned> maxima_;
  std::int64_t largest_ = 0;
};

/// Cost  per value 4 bytes read (fp16: twice) and 4, 2, 2 or about 1 written. Padding bytes become 0.
void encode(Wire wire, WireBlocks& blocks, Stream& stream);
void decode(Wire wire, WireBlocks& blocks, Stream& stream);

}  // namespace swallowtail::cuda
