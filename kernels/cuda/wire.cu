#include "kernels/cuda/wire.cuh"

#include <algorithm>

namespace swallowtail::cuda {

namespace {

/// Few blocks a wire block: a message has hundreds of these. A warp a vector for int8 asks for more threads than words.
Grid grid_of(const WireBlocks& blocks) {
  constexpr std::int64_t kValuesAThread = 8;
  return {std::clamp<std::int64_t>(divide_up(blocks.largest(), kBlockThreads * kValuesAThread), 1, kMaxBlocks),
          blocks.count()};
}

}  // namespace

WireBlocks::WireBlocks(std::span<const WireBlock> blocks, Stream& stream)
    : device_(to_device<WireBlock>(blocks, stream)), maxima_(static_cast<std::int64_t>(blocks.size())) {
  if (blocks.size() > 65535) throw Failure("a device's message has at most 65535 blocks");  // blockIdx.y
  for (const WireBlock& block : blocks) largest_ = std::max(largest_, block.vectors * block.cols);
  stream.wait();  // the copy reads the caller's blocks
}

void encode(Wire wire, WireBlocks& blocks, Stream& stream) {
  if (blocks.largest() == 0) return;
  if (wire == Wire::fp16) {
    zero(blocks.maxima(), blocks.count(), stream);
    launch<kBlockThreads>(grid_of(blocks), 0, stream, LargestOfBlocks{blocks.on_device(), blocks.maxima()});
  }
  launch<kBlockThreads>(grid_of(blocks), 0, stream, EncodeWire{blocks.on_device(), blocks.maxima(), wire});
}

void decode(Wire wire, WireBlocks& blocks, Stream& stream) {
  if (blocks.largest() > 0) launch<kBlockThreads>(grid_of(blocks), 0, stream, DecodeWire{blocks.on_device(), wire});
}

}  // namespace swallowtail::cuda
