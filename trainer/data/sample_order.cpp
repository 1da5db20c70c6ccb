#include "trainer/data/sample_order.h"

#include <algorithm>
#include <bit>

#include "kernels/random.h"

namespace swallowtail {
namespace {

constexpr auto kOrder = random::purpose("sample order");
constexpr auto kRotation = random::purpose("sample order rotation");
constexpr auto kBuffer = random::purpose("sample order buffer");

std::int64_t full_blocks(std::int64_t size, const ShuffleOptions& options) { return size / options.block; }

}  // namespace

Permutation::Permutation(std::int64_t size, std::uint64_t key) : size_(size) {
  // Domain 2^(2 * half_bits): the least one that holds `size`, so a walk leaves it after fewer than 4 steps on average.
  const int bits = size < 2 ? 1 : std::bit_width(static_cast<std::uint64_t>(size - 1));
  half_bits_ = (bits + 1) / 2;
  for (std::size_t round = 0; round < round_keys_.size(); ++round)
    round_keys_[round] = random::bits(key, kOrder, round);
}

std::int64_t Permutation::operator()(std::int64_t position) const noexcept {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<std::uint64_t>(position);
  do {  // cycle walking: values beyond `size` are mapped on until one falls inside
    std::uint64_t left = value >> half_bits_, right = value & mask;
    for (const std::uint64_t key : round_keys_) {
      const std::uint64_t next = left ^ (random::mix(right ^ key) & mask);
      left = right;
      right = next;
    }
    value = left << half_bits_ | right;
  } while (value >= static_cast<std::uint64_t>(size_));
  return static_cast<std::int64_t>(value);
}

SampleOrder::SampleOrder(std::int64_t size, ShuffleOptions options, std::uint64_t seed, std::int64_t epoch)
    : size_(size),
      options_(options),
      key_(random::bits(seed, kOrder, static_cast<std::uint64_t>(epoch))),
      outer_(options.kind == Shuffle::blocks ? full_blocks(size, options) : size, key_) {}

std::int64_t SampleOrder::operator()(std::int64_t position) const noexcept {
  switch (options_.kind) {
    case Shuffle::none:
      return position;
    case Shuffle::global:
      return outer_(position);
    case Shuffle::blocks:
      break;
  }
  // The samples after the last full block stand at the end of the permuted blocks. The rotation keeps them from being
  // always the last ones of an epoch.
  const std::int64_t blocks = full_blocks(size_, options_);
  const std::int64_t rotated = (position + random::below(random::bits(key_, kRotation), size_)) % size_;
  const std::int64_t group_size = options_.block * options_.buffer;
  const std::int64_t group = rotated / group_size, begin = group * group_size;
  const Permutation inner(std::min(group_size, size_ - begin),
                          random::bits(key_, kBuffer, static_cast<std::uint64_t>(group)));
  const std::int64_t shuffled = begin + inner(rotated - begin);
  const std::int64_t slot = shuffled / options_.block;
  return slot < blocks ? outer_(slot) * options_.block + shuffled % options_.block : shuffled;
}

}  // namespace swallowtail
