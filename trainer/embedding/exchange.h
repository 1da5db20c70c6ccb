// The exchanges of one set of tables: one algorithm for all, one account of bytes and of the time that they held the
// caller up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "parallel/communicator.h"

namespace swallowtail {

class Exchange {
 public:
  /// `layout`: a hash of what the ranks must agree on beside operation and step.
  Exchange(std::string algorithm, Communicator& ranks, std::uint64_t layout)
      : algorithm_(std::move(algorithm)), ranks_(ranks), layout_(layout) {}

  Communicator& ranks() noexcept { return ranks_; }
  void begin_step(std::int64_t step) noexcept {
    step_ = step;
    bytes_sent_ = 0;
  }
  std::int64_t step() const noexcept { return step_; }

  /// Sizes in bytes a rank; both sides know them.
  void run(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
           std::span<std::byte> recv, std::span<const std::int64_t> recv_bytes);

  /// Bytes to other ranks since begin_step().
  std::int64_t bytes_sent() const noexcept { return bytes_sent_; }
  /// Seconds in exchanges since this was made.
  double seconds() const noexcept { return seconds_; }

 private:
  std::string algorithm_;
  Communicator& ranks_;
  std::uint64_t layout_;
  std::int64_t step_ = 0, bytes_sent_ = 0;
  double seconds_ = 0;
};

}  // namespace swallowtail
