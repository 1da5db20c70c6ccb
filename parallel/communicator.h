// Collectives among the ranks of one run. Every rank makes the same calls in the same order, from one thread.
// Backends: mpi_communicator.h (real ranks), local_communicator.h (threads of one process, for tests and one rank).
// Every call carries a Tag; ranks that disagree on it, or a rank that does not come within parallel.timeout_s, end
// the call with an Error (ExitCode::rank) that names the rank, the operation and the step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace swallowtail {

/// What a collective is for. `operation` must outlive the call (a literal).
struct Tag {
  std::string_view operation;  // "input ids", "pooled", "dense gradients", …
  std::int64_t step = 0;
  std::uint64_t detail = 0;    // hash of what else must agree (tables, dtype, shape); 0 when nothing must
};

/// Bytes with their division among ranks: chunk r is bytes[offsets[r], offsets[r + 1]). offsets has world_size + 1 entries.
struct ConstChunks {
  std::span<const std::byte> bytes;
  std::span<const std::int64_t> offsets;
  std::span<const std::byte> operator[](int rank) const {
    return bytes.subspan(static_cast<std::size_t>(offsets[rank]), static_cast<std::size_t>(offsets[rank + 1] - offsets[rank]));
  }
};
struct Chunks {
  std::span<std::byte> bytes;
  std::span<const std::int64_t> offsets;
  std::span<std::byte> operator[](int rank) const {
    return bytes.subspan(static_cast<std::size_t>(offsets[rank]), static_cast<std::size_t>(offsets[rank + 1] - offsets[rank]));
  }
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const noexcept = 0;        // [0, world_size)
  virtual int world_size() const noexcept = 0;
  virtual int node_local_ranks() const noexcept = 0;  // ranks on this machine, this one included

  /// Chunk r of `send` goes to rank r; chunk r of `recv` comes from it; sizes must agree pairwise (both sides know them).
  virtual void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) = 0;
  /// One step of an algorithm: sends to `to` while it receives from `from`.
  virtual void exchange(const Tag& tag, int to, std::span<const std::byte> send, int from, std::span<std::byte> recv) = 0;
  /// Sums over ranks, in place, same result on every rank (fast: the order of summation is the backend's).
  virtual void all_reduce_sum(const Tag& tag, std::span<float> values) = 0;
  virtual void all_reduce_sum(const Tag& tag, std::span<double> values) = 0;
  virtual void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) = 0;
  virtual void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) = 0;
  /// Chunk r of `recv` is what rank r sent; every rank gets all. send.size() == size of its own chunk.
  virtual void all_gather(const Tag& tag, std::span<const std::byte> send, Chunks recv) = 0;
  /// `bytes` of rank `root` to all; the sizes agree.
  virtual void broadcast(const Tag& tag, int root, std::span<std::byte> bytes) = 0;
  virtual void barrier(const Tag& tag) = 0;
};

/// int64 element counts -> byte offsets [n + 1] for elements of `element_bytes`.
std::vector<std::int64_t> byte_offsets(std::span<const std::int64_t> counts, std::int64_t element_bytes);

}  // namespace swallowtail
