#include "trainer/device/dlrm/device_shuffle.h"

#include <chrono>

namespace swallowtail {

std::span<std::byte> DeviceShuffle::Side::span() const {
  return {reinterpret_cast<std::byte*>(bytes.data()), static_cast<std::size_t>(offsets.back())};
}

void DeviceShuffle::lay_out(std::span<const ShuffleBlock> blocks, Side& side, cuda::Stream& work) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(ranks_.world_size()), 0);
  for (const ShuffleBlock& block : blocks)
    sizes[static_cast<std::size_t>(block.rank)] += wire_bytes(options_.wire, block.vectors, block.cols);
  side.offsets = byte_offsets(sizes, 1);
  side.bytes.reserve(side.offsets.back());
  std::vector<std::int64_t> next(side.offsets.begin(), side.offsets.end() - 1);
  std::vector<cuda::WireBlock> described;
  for (const ShuffleBlock& block : blocks) {
    std::int64_t& at = next[static_cast<std::size_t>(block.rank)];
    if (block.vectors > 0)
      described.push_back({block.values, block.stride, block.vectors, block.cols, side.bytes.data() + at});
    at += wire_bytes(options_.wire, block.vectors, block.cols);
  }
  side.blocks.emplace(described, work);
}

void DeviceShuffle::describe(std::span<const ShuffleBlock> send, std::span<const ShuffleBlock> recv,
                             cuda::Stream& work) {
  lay_out(send, send_, work);
  lay_out(recv, recv_, work);
  const auto self = static_cast<std::size_t>(ranks_.rank());
  bytes_ = send_.offsets.back() - (send_.offsets[self + 1] - send_.offsets[self]);
}

void DeviceShuffle::start(std::int64_t step, cuda::Stream& work) {
  cuda::encode(options_.wire, *send_.blocks, work);
  ranks_.follow(work);
  pending_ = ranks_.communicator().start_all_to_all({options_.operation, step, options_.layout},
                                                    {send_.span(), send_.offsets}, {recv_.span(), recv_.offsets});
  bytes_sent_ += bytes_;
  if (!options_.overlap) wait();
}

void DeviceShuffle::wait() {
  if (!pending_) return;
  ranks_.wait_for_work();
  const auto begin = std::chrono::steady_clock::now();
  pending_->wait();
  pending_.reset();
  exposed_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void DeviceShuffle::finish(cuda::Stream& work) {
  wait();
  cuda::decode(options_.wire, *recv_.blocks, work);
}

}  // namespace swallowtail
