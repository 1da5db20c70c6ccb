// A step's triplets on their way to the device: packed into one page-locked block, sent in one copy.
#pragma once

#include <cstdint>

#include "kernels/cuda/factors.h"
#include "trainer/device/factor_trainer.h"

namespace swallowtail {

class TripletBlock {
 public:
  /// Packs into the host's side, once what was sent before has been used. True where the device's side moved.
  bool pack(const FactorBatch& batch, std::int64_t negatives_each);
  void send(cuda::Stream& stream);
  cuda::DeviceTriplets triplets() const;
  std::int64_t size() const noexcept { return size_; }

 private:
  struct Places {  // bytes from the beginning
    std::int64_t users, positives, negatives, weights, end;
  };
  std::int64_t size_ = 0, negatives_each_ = 1;
  Places places_{};
  cuda::PinnedBuffer<std::byte> host_;
  cuda::DeviceBuffer<std::byte> device_;
};

}  // namespace swallowtail
