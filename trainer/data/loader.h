// Makes the batches of one epoch ahead of the training loop, on a thread of its own. Every rank has one and reads only
// its share of each global batch, so all ranks see the same number of batches (a share may be empty). The last batch
// holds what is left.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "trainer/data/dataset.h"
#include "trainer/data/sample_order.h"

namespace swallowtail {

class BatchLoader {
 public:
  static constexpr std::size_t kBatchesAhead = 3;
  /// That live at once: the ones ahead, one in the making, and the two that a training loop holds.
  static constexpr std::int64_t kMostBatches = kBatchesAhead + 3;

  /// Samples [begin, end) of a global batch of so many samples that this rank reads.
  using Share = std::function<std::pair<std::int64_t, std::int64_t>(std::int64_t batch_samples)>;

  /// dataset and order outlive the loader. batch_size: of the global batch, > 0. first_batch: where to go on within the
  /// epoch.
  BatchLoader(const Dataset& dataset, const SampleOrder& order, std::int64_t batch_size, Share share,
              std::int64_t first_batch = 0);
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;
  ~BatchLoader();  // stops the thread, which ends the batch that it is making

  std::int64_t batches() const noexcept { return batches_; }  // of the whole epoch
  /// Swaps the next batch into `out` (its buffers are used again); false at the end of the epoch.
  /// Errors: what Dataset::read threw for that batch, after the batches before it have been given out.
  bool next(Batch& out);
  /// Time that next() has spent waiting for batches.
  double waited_s() const noexcept { return waited_s_; }

 private:
  void work();
  void make(std::int64_t batch, Batch& out);

  const Dataset& dataset_;
  const SampleOrder& order_;
  std::int64_t batch_size_, batches_, next_batch_;
  Share share_;
  std::vector<std::int64_t> samples_;  // of the thread
  double waited_s_ = 0;

  std::mutex mutex_;
  std::condition_variable made_, taken_;
  std::deque<Batch> ready_, spare_;
  bool is_finished_ = false, is_stopped_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace swallowtail
