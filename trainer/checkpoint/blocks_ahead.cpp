#include "trainer/checkpoint/blocks_ahead.h"

#include <algorithm>
#include <utility>

namespace swallowtail {

BlocksAhead::BlocksAhead(std::int64_t blocks, std::size_t largest, Fetch fetch)
    : blocks_(blocks), fetch_(std::move(fetch)) {
  for (Slot& slot : slots_) slot.memory = SectorMemory(largest);
  for (std::thread& reader : readers_) reader = std::thread([this] { bring(); });
}

BlocksAhead::~BlocksAhead() {
  {
    const std::scoped_lock lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  for (std::thread& reader : readers_) reader.join();
}

std::span<const std::byte> BlocksAhead::next() {
  std::unique_lock lock(mutex_);
  ++given_;
  changed_.notify_all();  // the slot of the block before is free
  Slot& slot = slots_[static_cast<std::size_t>(given_ % kSlots)];
  changed_.wait(lock, [&] { return slot.holds == given_; });
  if (slot.failure) std::rethrow_exception(slot.failure);
  return slot.memory.first(slot.size);
}

void BlocksAhead::bring() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock,
                  [&] { return is_over_ || next_ >= blocks_ || next_ < std::max<std::int64_t>(given_, 0) + kSlots; });
    if (is_over_ || next_ >= blocks_) return;
    const std::int64_t block = next_++;
    Slot& slot = slots_[static_cast<std::size_t>(block % kSlots)];
    lock.unlock();
    std::size_t size = 0;
    std::exception_ptr failure;
    try {
      size = fetch_(block, slot.memory.first(slot.memory.size()));
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    slot.size = size;
    slot.failure = failure;
    slot.holds = block;
    changed_.notify_all();
  }
}

}  // namespace swallowtail
