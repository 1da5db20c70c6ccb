#include "trainer/device/factors/triplet_block.h"

#include <algorithm>
#include <cstring>

namespace swallowtail {

bool TripletBlock::pack(const FactorBatch& batch, std::int64_t negatives_each) {
  constexpr std::int64_t kAlignment = 256;
  size_ = std::ssize(batch.users);
  negatives_each_ = negatives_each;
  std::int64_t end = 0;
  const auto take = [&](std::int64_t bytes) {
    const std::int64_t at = end;
    end = (end + bytes + kAlignment - 1) / kAlignment * kAlignment;
    return at;
  };
  places_.users = take(8 * size_);
  places_.positives = take(8 * size_);
  places_.negatives = take(8 * size_ * negatives_each);
  places_.weights = take(4 * size_);
  places_.end = end;
  host_.reserve(end);
  const std::byte* const before = device_.data();
  device_.reserve(end);
  if (size_ == 0) return device_.data() != before;
  const auto put = [&](std::int64_t place, std::span<const std::int64_t> ids) {
    std::memcpy(host_.data() + place, ids.data(), ids.size_bytes());
  };
  put(places_.users, batch.users);
  put(places_.positives, batch.positives);
  put(places_.negatives, batch.negatives);
  std::fill_n(reinterpret_cast<float*>(host_.data() + places_.weights), size_, batch.weight);
  return device_.data() != before;
}

void TripletBlock::send(cuda::Stream& stream) {
  if (size_ > 0) cuda::copy_to_device(device_.data(), host_.data(), places_.end, stream);
}

cuda::DeviceTriplets TripletBlock::triplets() const {
  const auto ids = [&](std::int64_t place) { return reinterpret_cast<const std::int64_t*>(device_.data() + place); };
  return {size_,
          negatives_each_,
          ids(places_.users),
          ids(places_.positives),
          ids(places_.negatives),
          reinterpret_cast<const float*>(device_.data() + places_.weights)};
}

}  // namespace swallowtail
