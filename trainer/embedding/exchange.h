// The exchanges of one set of tables: one algorithm for all, one account of bytes and of the time that they held the
// caller up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "parallel/all_to_all/all_to_all.h"
#include "parallel/communicator.h"

namespace swallowtail {

/// Bytes under way in one exchange, [rank][…]. Reused between steps; filled again only when the exchange is done.
struct Traffic {
  std::vector<std::byte> send, recv;
  std::vector<std::int64_t> send_bytes, recv_bytes;      // [P], known on both sides
  std::vector<std::int64_t> send_offsets, recv_offsets;  // [P + 1]
  /// About the mean bytes from one rank to another, the same on every rank: by it the exchange chooses its algorithm.
  std::int64_t expected_a_peer = 0;

  /// No bytes for `ranks` ranks.
  void clear(int ranks);
  /// Sizes the buffers by what stands in send_bytes and recv_bytes.
  void reserve();
};

class Exchange {
 public:
  /// `layout`: a hash of what the ranks must agree on beside operation and step. `overlap`: exchanges are under way
  /// beside the caller's work; off, start() returns when all is done.
  /// `costs`: where the algorithm is auto (parallel/all_to_all/cost_model.h).
  Exchange(const std::string& algorithm, std::shared_ptr<const CostModel> costs, bool overlap, Communicator& ranks,
           std::uint64_t layout)
      : all_to_all_(algorithm, ranks, std::move(costs)), overlap_(overlap), ranks_(ranks), layout_(layout) {}

  Communicator& ranks() noexcept { return ranks_; }
  int rank() const noexcept { return ranks_.rank(); }
  int world_size() const noexcept { return ranks_.world_size(); }

  /// Collective: all ranks start their exchanges in the same order. `traffic` stays as it is until wait() returns.
  std::unique_ptr<Pending> start(const char* operation, std::int64_t step, Traffic& traffic);
  /// Counts the time as exposed.
  void wait(Pending& pending);
  void run(const char* operation, std::int64_t step, Traffic& traffic) { wait(*start(operation, step, traffic)); }

  /// An exchange of the same tables that went another way.
  void count(std::int64_t bytes, double seconds) noexcept {
    bytes_sent_ += bytes;
    exposed_seconds_ += seconds;
  }

  const AllToAll& all_to_all() const noexcept { return all_to_all_; }
  /// Bytes to other ranks since this was made.
  std::int64_t bytes_sent() const noexcept { return bytes_sent_; }
  /// Seconds that exchanges held the caller up since this was made.
  double exposed_seconds() const noexcept { return exposed_seconds_; }

 private:
  AllToAll all_to_all_;
  bool overlap_;
  Communicator& ranks_;
  std::uint64_t layout_;
  std::int64_t bytes_sent_ = 0;
  double exposed_seconds_ = 0;
};

}  // namespace swallowtail
