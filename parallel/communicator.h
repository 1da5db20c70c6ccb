// Collectives and messages among the ranks of one run. Every rank makes the same collective calls in the same order,
// from one thread, and waits for pending ones in the same order too. Backends: mpi_communicator.h (real ranks),
// local_communicator.h (threads of one process, for tests and one rank), nccl_communicator.h (device memory).
// Every call carries a Tag; ranks that disagree on it, or a rank that does not come within parallel.timeout_s, end
// the call with an Error (ExitCode::rank) that names the rank, the operation and the step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace swallowtail {

/// What a collective is for. `operation` must outlive the call (a literal).
struct Tag {
  std::string_view operation;  // "input ids", "pooled", "dense gradients", …
  std::int64_t step = 0;
  std::uint64_t detail = 0;  // hash of what else must agree (tables, dtype, shape); 0 when nothing must
};

/// Bytes with their division among ranks: chunk r is bytes[offsets[r], offsets[r + 1]). offsets has world_size + 1
/// entries.
struct ConstChunks {
  std::span<const std::byte> bytes;
  std::span<const std::int64_t> offsets;
  std::span<const std::byte> operator[](int rank) const {
    return bytes.subspan(static_cast<std::size_t>(offsets[rank]),
                         static_cast<std::size_t>(offsets[rank + 1] - offsets[rank]));
  }
};
struct Chunks {
  std::span<std::byte> bytes;
  std::span<const std::int64_t> offsets;
  std::span<std::byte> operator[](int rank) const {
    return bytes.subspan(static_cast<std::size_t>(offsets[rank]),
                         static_cast<std::size_t>(offsets[rank + 1] - offsets[rank]));
  }
};

/// A message to rank `to`.
struct Outgoing {
  int to = 0;
  std::span<const std::byte> bytes{};
};
/// A message from rank `from`. With `any_size` the sender alone knows the size: the vector is resized to it and `bytes`
/// is ignored.
struct Incoming {
  int from = 0;
  std::span<std::byte> bytes{};
  std::vector<std::byte>* any_size = nullptr;
};

/// A call under way. Must not outlive its communicator. Dropped before it is done: the run is about to end.
/// Errors: those of the call, from either function.
class Pending {
 public:
  virtual ~Pending() = default;
  /// Moves data as far as it goes without waiting; true once done.
  virtual bool test() = 0;
  /// Returns when done. Only a rank in wait() is watched: time between start and wait() is the caller's own.
  virtual void wait() = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const noexcept = 0;  // [0, world_size)
  virtual int world_size() const noexcept = 0;
  /// Machine of each rank [world_size], numbered from 0 in the order of their first rank.
  virtual std::span<const int> node_of() const noexcept = 0;
  int node_local_ranks() const noexcept;  // ranks on this machine, this one included

  /// Chunk r of `send` goes to rank r; chunk r of `recv` comes from it; sizes must agree pairwise (both sides know
  /// them).
  virtual void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) = 0;
  /// Sums over ranks, in place, same result on every rank (fast: the order of summation is the backend's).
  virtual void all_reduce_sum(const Tag& tag, std::span<float> values) = 0;
  virtual void all_reduce_sum(const Tag& tag, std::span<double> values) = 0;
  virtual void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) = 0;
  virtual void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) = 0;
  /// out = this rank's part [offsets[rank], offsets[rank + 1]) of the sum over ranks of `values`. offsets, in elements,
  /// [world_size + 1], from 0 to values.size(), the same on every rank. `out` lies apart from `values`.
  virtual void reduce_scatter_sum(const Tag& tag, std::span<const float> values, std::span<const std::int64_t> offsets,
                                  std::span<float> out) = 0;
  /// Chunk r of `recv` is what rank r sent; every rank gets all. send.size() == size of its own chunk.
  virtual void all_gather(const Tag& tag, std::span<const std::byte> send, Chunks recv) = 0;
  /// `bytes` of rank `root` to all; the sizes agree.
  virtual void broadcast(const Tag& tag, int root, std::span<std::byte> bytes) = 0;
  virtual void barrier(const Tag& tag) = 0;

  /// The calls that follow return at once. What they were given (spans, offsets, vectors) stays valid and untouched
  /// until the Pending is done. Several may be pending, and other calls made meanwhile.

  /// A number for start_messages. Collective in that every rank opens its channels and makes its collective calls in
  /// the same order; costs nothing.
  virtual std::uint32_t open_channel() noexcept = 0;
  /// Messages to and from several ranks at once, all under way together: at most one a pair and direction. A message
  /// to itself needs both ends in the same call. Messages meet only within their channel, there in the order of the
  /// calls: an algorithm of several rounds opens one channel and starts a round when its round before is done.
  /// Errors: Error (ExitCode::rank) where the two sides of a message have different tags or sizes.
  virtual std::unique_ptr<Pending> start_messages(const Tag& tag, std::uint32_t channel,
                                                  std::span<const Outgoing> outgoing,
                                                  std::span<const Incoming> incoming) = 0;
  virtual std::unique_ptr<Pending> start_all_to_all(const Tag& tag, ConstChunks send, Chunks recv) = 0;
  virtual std::unique_ptr<Pending> start_all_reduce_sum(const Tag& tag, std::span<float> values) = 0;

  /// One step of an algorithm: sends to `to` while it receives from `from`. Ranks that take no part need not call.
  void exchange(const Tag& tag, int to, std::span<const std::byte> send, int from, std::span<std::byte> recv);

  /// Ranks of one colour become a communicator of their own, ordered by their rank here. Collective. For the ranks of a
  /// machine: colour = node_of()[rank]; across machines: the place within the machine. Must not outlive this one.
  /// Errors name ranks by their number in the whole run.
  virtual std::unique_ptr<Communicator> split(const Tag& tag, int color) = 0;
};

/// Any labels -> numbers from 0 in the order in which the labels first occur, as node_of() counts machines.
std::vector<int> numbered_in_order(std::span<const int> labels);

/// int64 element counts -> byte offsets [n + 1] for elements of `element_bytes`.
std::vector<std::int64_t> byte_offsets(std::span<const std::int64_t> counts, std::int64_t element_bytes);

/// Chunks of typed buffers: `buffer` is a contiguous range of a plain type, byte_offsets as of byte_offsets().
template <typename Buffer>
ConstChunks const_chunks(const Buffer& buffer, std::span<const std::int64_t> byte_offsets) {
  return {std::as_bytes(std::span(buffer)), byte_offsets};
}
template <typename Buffer>
Chunks chunks(Buffer& buffer, std::span<const std::int64_t> byte_offsets) {
  return {std::as_writable_bytes(std::span(buffer)), byte_offsets};
}

}  // namespace swallowtail
