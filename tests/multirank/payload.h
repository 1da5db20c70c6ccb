// Bytes that both ends of a message can compute: a formula of (seed, sender, receiver, place).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/random.h"
#include "parallel/communicator.h"

namespace swallowtail {

/// Chunks in one buffer, in order; filled with a value that no law expects to stay.
struct ChunkBuffer {
  explicit ChunkBuffer(const std::vector<std::int64_t>& counts)
      : offsets(byte_offsets(counts, 1)), bytes(static_cast<std::size_t>(offsets.back()), std::byte{0xEE}) {}
  Chunks chunks() { return {bytes, offsets}; }
  ConstChunks const_chunks() const { return {bytes, offsets}; }
  std::vector<std::int64_t> offsets;
  std::vector<std::byte> bytes;
};

/// Nothing, a few bytes, up to 3,000, or now and then up to 30,000, so that messages of one call are very unequal and
/// some go with their description and some behind it.
inline std::int64_t payload_bytes(std::uint64_t seed, int from, int to) {
  const auto key = random::bits(seed, 11, static_cast<std::uint64_t>(from), static_cast<std::uint64_t>(to));
  const auto size = random::mix(key);
  if (key % 16 == 6) return random::below(size, 30000);
  return key % 4 == 0 ? 0 : random::below(size, key % 4 == 1 ? 5 : 3000);
}

inline std::byte payload_byte(std::uint64_t seed, int from, int to, std::size_t place) {
  return static_cast<std::byte>(random::bits(seed, static_cast<std::uint64_t>(from * 1000 + to), place));
}

inline void fill_payload(std::span<std::byte> chunk, std::uint64_t seed, int from, int to) {
  for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = payload_byte(seed, from, to, i);
}

inline bool is_payload(std::span<const std::byte> chunk, std::uint64_t seed, int from, int to) {
  for (std::size_t i = 0; i < chunk.size(); ++i)
    if (chunk[i] != payload_byte(seed, from, to, i)) return false;
  return true;
}

}  // namespace swallowtail
