// The order in which an epoch visits its samples, as a pure function: position -> sample. A bijection of [0, size) for
// every (seed, epoch), so every sample is read exactly once an epoch whatever the number of ranks; O(1) memory.
//   global  one pseudo-random permutation of all samples (Feistel network with cycle walking; Black and Rogaway, CT-RSA
//           2002). Quality: every order of a pair of samples is about equally likely.
//   blocks  for data larger than memory: blocks of `block` neighbouring samples are permuted, each `buffer` blocks that
//           follow one another are mixed. Reads are block-sized; a batch draws from `buffer` blocks, not from all.
//   none    as stored.
#pragma once

#include <array>
#include <cstdint>

namespace swallowtail {

enum class Shuffle : std::uint8_t { none, global, blocks };

struct ShuffleOptions {
  Shuffle kind = Shuffle::global;
  std::int64_t block = 4096;  // samples a block
  std::int64_t buffer = 64;   // blocks mixed together
};

/// A keyed bijection of [0, size).
class Permutation {
 public:
  Permutation(std::int64_t size, std::uint64_t key);
  std::int64_t operator()(std::int64_t position) const noexcept;  // position in [0, size)

 private:
  std::int64_t size_;
  int half_bits_;
  std::array<std::uint64_t, 6> round_keys_;
};

class SampleOrder {
 public:
  SampleOrder(std::int64_t size, ShuffleOptions options, std::uint64_t seed, std::int64_t epoch);
  std::int64_t operator()(std::int64_t position) const noexcept;  // position in [0, size) -> sample in [0, size)

 private:
  std::int64_t size_;
  ShuffleOptions options_;
  std::uint64_t key_;
  Permutation outer_;
};

}  // namespace swallowtail
