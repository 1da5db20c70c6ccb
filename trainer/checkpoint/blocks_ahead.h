// The blocks of a file in order, brought by threads while the one before is being looked at.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <span>
#include <thread>

#include "trainer/checkpoint/sector_memory.h"

namespace swallowtail {

class BlocksAhead {
 public:
  /// Fills `memory` (aligned for direct I/O) with block `block` and returns how much of it; several threads call it.
  using Fetch = std::function<std::size_t(std::int64_t block, std::span<std::byte> memory)>;

  /// Holds three blocks of at most `largest` bytes.
  BlocksAhead(std::int64_t blocks, std::size_t largest, Fetch fetch);
  ~BlocksAhead();
  BlocksAhead(const BlocksAhead&) = delete;
  BlocksAhead& operator=(const BlocksAhead&) = delete;

  /// The next block; valid until the call after it. At most `blocks` calls. Errors: those of its fetch.
  std::span<const std::byte> next();

 private:
  static constexpr std::int64_t kSlots = 3;  // one is looked at, the others are on their way
  struct Slot {
    SectorMemory memory;
    std::size_t size = 0;
    std::int64_t holds = -1;
    std::exception_ptr failure;
  };
  void bring();

  std::int64_t blocks_;
  Fetch fetch_;
  std::array<Slot, kSlots> slots_;
  std::mutex mutex_;  // of what follows, and of the slots that no thread is filling
  std::condition_variable changed_;
  std::int64_t next_ = 0, given_ = -1;  // to be fetched; in the caller's hands
  bool is_over_ = false;
  std::array<std::thread, kSlots - 1> readers_;
};

}  // namespace swallowtail
