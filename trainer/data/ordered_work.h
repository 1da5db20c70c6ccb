// Work on the blocks of a file by several threads, whose results come out in the order of the file.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "trainer/data/text_blocks.h"

namespace swallowtail {

/// Result: default-constructible; its memory is used again. Results do not depend on the number of threads.
template <typename Result>
class OrderedWork {
 public:
  using Work = std::function<void(const TextBlock& block, Result& result)>;

  /// threads: at least 1; with one, the work is done by the caller in next(). `blocks` outlives it.
  OrderedWork(TextBlocks& blocks, int threads, Work work)
      : blocks_(blocks), work_(std::move(work)), most_ahead_(2 * static_cast<std::size_t>(threads)) {
    for (int t = 0; threads > 1 && t < threads; ++t) threads_.emplace_back([this] { run(); });
  }
  OrderedWork(const OrderedWork&) = delete;
  OrderedWork& operator=(const OrderedWork&) = delete;
  ~OrderedWork() {
    {
      const std::lock_guard lock(mutex_);
      is_stopped_ = true;
    }
    has_room_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  /// The result of the next block, valid until the next call; null at the end. Errors: what reading or the work threw
  /// for that block, after the results before it have been given out.
  const Result* next() {
    if (threads_.empty()) {
      if (!blocks_.next(spare_block_)) return nullptr;
      work_(spare_block_.block, current_.result);
      return &current_.result;
    }
    std::unique_lock lock(mutex_);
    is_done_.wait(lock, [&] { return (!slots_.empty() && slots_.front()->is_done) || (is_at_end_ && slots_.empty()); });
    if (slots_.empty()) return nullptr;
    std::swap(current_, *slots_.front());
    spare_.push_back(std::move(slots_.front()));
    slots_.pop_front();
    lock.unlock();
    has_room_.notify_one();
    if (current_.failure) std::rethrow_exception(current_.failure);
    return &current_.result;
  }

 private:
  struct Slot {
    OwnedBlock block;
    Result result;
    std::exception_ptr failure;
    bool is_done = false;
  };

  /// Reads a block into a new last slot; null at the end. One thread at a time.
  Slot* take() {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [&] { return is_stopped_ || is_at_end_ || (!is_reading_ && slots_.size() < most_ahead_); });
    if (is_stopped_ || is_at_end_) return nullptr;
    std::unique_ptr<Slot> slot;
    if (spare_.empty()) {
      slot = std::make_unique<Slot>();
    } else {
      slot = std::move(spare_.back());
      spare_.pop_back();
    }
    slot->failure = nullptr;
    slot->is_done = false;
    is_reading_ = true;
    lock.unlock();
    bool is_there = true;
    try {
      is_there = blocks_.next(slot->block);
    } catch (...) {
      slot->failure = std::current_exception();
    }
    lock.lock();
    is_reading_ = false;
    is_at_end_ = !is_there || slot->failure;
    Slot* const taken = slot.get();
    if (is_there) slots_.push_back(std::move(slot));
    lock.unlock();
    has_room_.notify_all();
    if (!is_there) is_done_.notify_one();
    return is_there ? taken : nullptr;
  }

  void run() {
    while (Slot* const slot = take()) {
      if (!slot->failure) {
        try {
          work_(slot->block.block, slot->result);
        } catch (...) {
          slot->failure = std::current_exception();
        }
      }
      {
        const std::lock_guard lock(mutex_);
        slot->is_done = true;
      }
      is_done_.notify_one();
    }
  }

  TextBlocks& blocks_;
  Work work_;
  std::size_t most_ahead_;
  OwnedBlock spare_block_;
  Slot current_;

  std::mutex mutex_;
  std::condition_variable has_room_, is_done_;
  std::deque<std::unique_ptr<Slot>> slots_;  // in the order of the file
  std::vector<std::unique_ptr<Slot>> spare_;
  bool is_reading_ = false, is_at_end_ = false, is_stopped_ = false;
  std::vector<std::thread> threads_;  // last: they use all of the above
};

}  // namespace swallowtail
