#include "trainer/data/loader.h"

#include <algorithm>
#include <chrono>

namespace swallowtail {

BatchLoader::BatchLoader(const Dataset& dataset, const SampleOrder& order, std::int64_t batch_size, Share share,
                         std::int64_t first_batch)
    : dataset_(dataset),
      order_(order),
      batch_size_(batch_size),
      batches_((dataset.size() + batch_size - 1) / batch_size),
      next_batch_(first_batch),
      share_(std::move(share)),
      thread_([this] { work(); }) {}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  taken_.notify_all();
  thread_.join();
}

bool BatchLoader::next(Batch& out) {
  std::unique_lock lock(mutex_);
  const auto begin = std::chrono::steady_clock::now();
  made_.wait(lock, [&] { return !ready_.empty() || is_finished_; });
  waited_s_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (ready_.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    return false;
  }
  std::swap(out, ready_.front());
  spare_.push_back(std::move(ready_.front()));
  ready_.pop_front();
  lock.unlock();
  taken_.notify_one();
  return true;
}

void BatchLoader::work() {
  std::unique_lock lock(mutex_);
  try {
    for (; next_batch_ < batches_ && !is_stopped_; ++next_batch_) {
      Batch batch;
      if (!spare_.empty()) {
        batch = std::move(spare_.front());
        spare_.pop_front();
      }
      lock.unlock();
      make(next_batch_, batch);
      lock.lock();
      taken_.wait(lock, [&] { return ready_.size() < kBatchesAhead || is_stopped_; });
      ready_.push_back(std::move(batch));
      made_.notify_one();
    }
  } catch (...) {
    if (!lock.owns_lock()) lock.lock();
    failure_ = std::current_exception();
  }
  is_finished_ = true;
  made_.notify_one();
}

void BatchLoader::make(std::int64_t batch, Batch& out) {
  const std::int64_t begin = batch * batch_size_;
  const auto [share_begin, share_end] = share_(std::min(batch_size_, dataset_.size() - begin));
  samples_.clear();
  for (std::int64_t i = share_begin; i < share_end; ++i) samples_.push_back(order_(begin + i));
  dataset_.read(samples_, out);
}

}  // namespace swallowtail
