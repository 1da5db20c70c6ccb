// The first step of a batch: ids go from the samples' ranks to the ranks that own the rows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernels/wire.h"
#include "trainer/data/batch.h"
#include "trainer/embedding/exchange.h"
#include "trainer/embedding/shard_layout.h"

namespace swallowtail {

/// What this rank sent of one stream to one owner: how the vectors that come back are to be read.
struct SentStream {
  bool is_distinct = false;          // each row once; else every id
  std::int64_t bags = 0, ids = 0;    // sent
  std::vector<std::int64_t> bag_of;  // partial, not distinct: [bags] the sample of each filled bag
  std::vector<std::int64_t> places;  // partial or distinct: the stream's ids as places among the feature's values
  std::vector<std::int64_t> slots;   // distinct: which sent row each of `places` is; else places[i] is id i
};

/// The ids of one stream for the whole global batch as its owner sees them: bags in the order of ranks and samples.
struct OwnedStream {
  JaggedIds ids;                     // values: rows within the shard
  const JaggedIds* whole = nullptr;  // instead of `ids`, where the one rank's batch is all there is
  std::vector<std::int64_t> bag_sizes;            // partial: [bags] sizes before the bags were cut; else empty
  std::vector<std::int64_t> first_bag, first_id;  // [P + 1], by source rank
  std::vector<bool> is_distinct;                  // [P]

  const JaggedIds& held() const { return whole == nullptr ? ids : *whole; }
  JaggedView view() const { return {held().values, held().offsets, held().weights}; }
  JaggedView of_source(int rank) const;
};

/// Which streams send each row once. Kept for a while, so that rows are counted seldom; shared by the exchanges of one
/// set of tables, so that it does not matter which of them a batch takes.
struct DistinctStreams {
  std::vector<std::vector<bool>> chosen;  // [owner][stream]
  std::int64_t batches = 0;               // that were for an update
};

struct IdExchangeOptions {
  bool deduplicate = false;  // a stream's rows once, where that moves fewer bytes
  Wire forward = Wire::fp32, backward = Wire::fp32;
  /// Every owner gets a bag of every sample, empty ones of divided rows and those of others' copies too: shapes that
  /// depend on no id, as a device wants them.
  bool every_bag = false;
};

/// The ids of one batch on their way. Two may live at once: the next batch's while this one is trained.
class IdExchange {
 public:
  /// layout and choices outlive this.
  IdExchange(std::span<const EmbeddingTable> tables, const ShardLayout& layout, DistinctStreams& choices,
             IdExchangeOptions options);

  /// Collective. `batch` (this rank's part) and all ranks' parts [P]. Without `for_update`
  /// copies of tables on other ranks get no ids.
  void start(const Batch& batch, std::span<const std::int64_t> batch_sizes, std::int64_t step, bool for_update,
             Exchange& exchange);
  /// Moves what is under way on without waiting.
  void progress();
  /// Between start() and finish(), collective: the ids follow their counts. finish() does it where nobody did.
  void send_ids(Exchange& exchange);
  /// `batch`: the one of start(), wherever it lies now.
  void finish(const Batch& batch, Exchange& exchange);
  bool is_under_way() const noexcept { return pending_ != nullptr || waits_alone_; }

  std::int64_t step() const noexcept { return step_; }
  const Batch& batch() const noexcept { return *batch_; }
  std::span<const std::int64_t> batch_sizes() const noexcept { return batch_sizes_; }
  const SentStream& sent(int owner, std::size_t stream) const { return sent_[static_cast<std::size_t>(owner)][stream]; }
  const OwnedStream& owned(std::size_t stream) const { return owned_[stream]; }

 private:
  struct Counts;
  bool is_alone(const Exchange& exchange) const;
  void take_whole(const Batch& batch);
  void deal_out(int self);
  bool pays(int owner, std::size_t stream, std::int64_t distinct, int self) const;
  void choose_distinct(int owner, std::size_t stream, int self);
  void pack(int owner, std::vector<Counts>& counts, std::vector<std::byte>& payload) const;
  void unpack(int self);

  const ShardLayout* layout_;
  DistinctStreams* choices_;
  IdExchangeOptions options_;
  std::vector<std::vector<std::int64_t>> bag_cols_, id_cols_;  // [owner][stream] floats a bag and an id carries
  std::vector<std::vector<double>> mean_ids_;                  // [owner][stream] of a sample
  const Batch* batch_ = nullptr;
  bool for_update_ = true;
  std::vector<std::int64_t> batch_sizes_;
  std::vector<std::vector<SentStream>> sent_;  // [owner][stream]
  std::vector<OwnedStream> owned_;             // [own stream]
  std::int64_t step_ = 0;
  Traffic counts_, payload_;  // counts first, then, when they have come, the ids
  bool sends_ids_ = false;
  bool waits_alone_ = false;  // start() was called, finish() was not, and there is nothing to send
  std::unique_ptr<Pending> pending_;
};

}  // namespace swallowtail
