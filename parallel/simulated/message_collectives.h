// A communicator whose collectives are made of messages, so that a backend needs nothing but start_messages(). Sums add
// in the order of ranks. Every message carries the call's tag, so ranks in different calls get an error.
#pragma once

#include "parallel/communicator.h"

namespace swallowtail {

class MessageCollectives : public Communicator {
 public:
  /// Direct exchange (all_to_all/direct.cpp).
  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override;
  std::unique_ptr<Pending> start_all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override;

  /// Each rank adds one part of the vector and sends it to all: two rounds, 2 * (P - 1) / P of the bytes a rank.
  void all_reduce_sum(const Tag& tag, std::span<float> values) override;
  void all_reduce_sum(const Tag& tag, std::span<double> values) override;
  void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) override;
  void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) override;
  std::unique_ptr<Pending> start_all_reduce_sum(const Tag& tag, std::span<float> values) override;
  void reduce_scatter_sum(const Tag& tag, std::span<const float> values, std::span<const std::int64_t> offsets,
                          std::span<float> out) override;

  void all_gather(const Tag& tag, std::span<const std::byte> send, Chunks recv) override;
  /// A binomial tree.
  void broadcast(const Tag& tag, int root, std::span<std::byte> bytes) override;
  /// Dissemination: ceil(log2 P) rounds (Hensgen, Finkel and Manber, IJPP 1988).
  void barrier(const Tag& tag) override;
};

}  // namespace swallowtail
