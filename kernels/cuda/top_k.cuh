// The idea: a block a user. An item's key is its score, made an integer that orders alike, with its number inverted
// below: all keys differ, equal scores favour the lower number, and the K largest keys are the answer. They are found
// from the top, 8 bits at a time, by counting (a radix select); it ends as soon as the bucket that is left fits into
// what is still wanted, which with scores that differ is after three or four passes of eight. Then K keys are sorted in
// shared memory. Who may not be chosen is a bit in shared memory, so a pass reads nothing but scores.
#pragma once

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/top_k.h"

namespace swallowtail::cuda {

constexpr int kDigits = 256;

struct SelectTopK {
  DeviceTopK of;
  const float* scores;
  std::int64_t* items;
  float* best_scores;
  int padded_k;  // a power of two

  static std::int64_t shared_bytes(std::int64_t items, int padded_k) {
    return shared_part<unsigned>((items + 31) / 32) + shared_part<unsigned>(kDigits) +
           shared_part<std::uint64_t>(padded_k) + shared_part<std::uint64_t>(2) + shared_part<unsigned>(2);
  }

  __device__ void operator()(SharedMemory memory) const {
    const auto words = static_cast<int>((of.items + 31) / 32), count = static_cast<int>(of.items);
    unsigned* const mask = memory.take<unsigned>(words);
    unsigned* const histogram = memory.take<unsigned>(kDigits);
    auto* const chosen = memory.take<std::uint64_t>(padded_k);
    auto* const prefix = memory.take<std::uint64_t>(2);  // what the keys above begin with; its bits that count
    unsigned* const wanted = memory.take<unsigned>(2);   // keys still wanted of the prefix; keys chosen so far
    const std::int64_t user = blockIdx.x;
    const float* const row = scores + user * of.items;
    const int thread = static_cast<int>(threadIdx.x);

    for (int word = thread; word < words; word += kBlockThreads) mask[word] = allowed(row, 32 * word, count);
    for (int k = thread; k < padded_k; k += kBlockThreads) chosen[k] = 0;  // below every key
    if (thread == 0) {
      prefix[0] = prefix[1] = 0;
      wanted[0] = static_cast<unsigned>(of.k);
      wanted[1] = 0;
    }
    __syncthreads();
    if (of.excluded_offsets)
      for (std::int64_t i = of.excluded_offsets[user] + thread; i < of.excluded_offsets[user + 1]; i += kBlockThreads)
        atomicAnd(mask + of.excluded[i] / 32, ~(1U << of.excluded[i] % 32));
    __syncthreads();

    for (int shift = 56; shift >= 0; shift -= 8) {
      for (int digit = thread; digit < kDigits; digit += kBlockThreads) histogram[digit] = 0;
      __syncthreads();
      const std::uint64_t above = prefix[0], counts = prefix[1];
      const unsigned want = wanted[0];
      for (int item = thread; item < count; item += kBlockThreads) {
        if ((mask[item / 32] >> item % 32 & 1) == 0) continue;
        const std::uint64_t key = key_of(row[item], item);
        if ((key & counts) == above) atomicAdd(histogram + (key >> shift & 0xff), 1U);
      }
      __syncthreads();
      if (thread < 32) narrow(histogram, shift, want, prefix, wanted);
      __syncthreads();
      // The bucket that is left is wanted whole: its keys and those above are the answer.
      if (wanted[0] == 0) break;
    }
    const std::uint64_t least = prefix[0];
    for (int item = thread; item < count; item += kBlockThreads) {
      if ((mask[item / 32] >> item % 32 & 1) == 0) continue;
      const std::uint64_t key = key_of(row[item], item);
      if (key >= least) chosen[atomicAdd(wanted + 1, 1U)] = key;
    }
    __syncthreads();
    sort_falling(chosen);
    for (int place = thread; place < of.k; place += kBlockThreads) {
      const std::uint64_t key = chosen[place];
      const std::int64_t at = user * of.k + place;
      const auto item = static_cast<std::int64_t>(~static_cast<unsigned>(key));
      items[at] = key == 0 ? -1 : item;
      if (best_scores) best_scores[at] = key == 0 ? __uint_as_float(0xff800000U) : row[item];
    }
  }

 private:
  /// Bits of the items first … first + 31 that may be chosen by all, and are numbers.
  __device__ unsigned allowed(const float* row, int first, int count) const {
    unsigned bits = 0;
    for (int k = 0; k < 32 && first + k < count; ++k)
      if (row[first + k] == row[first + k] && (!of.candidates || of.candidates[first + k] != 0)) bits |= 1U << k;
    return bits;
  }

  __device__ static std::uint64_t key_of(float score, int item) {
    const unsigned bits = __float_as_uint(score + 0.0F);  // -0 and 0 are equal scores
    const unsigned rising = (bits & 0x80000000U) ? ~bits : bits | 0x80000000U;
    return static_cast<std::uint64_t>(rising) << 32 | static_cast<unsigned>(~item);
  }

  /// One warp: the digit with which `want` keys from the top are reached joins the prefix. Where its whole bucket is
  /// wanted, wanted[0] becomes 0.
  __device__ void narrow(const unsigned* histogram, int shift, unsigned want, std::uint64_t* prefix,
                         unsigned* wanted) const {
    const int lane = static_cast<int>(threadIdx.x);
    constexpr int kEach = kDigits / 32;
    unsigned mine = 0;  // of the lane's digits; lane 0 has the highest
    for (int k = 0; k < kEach; ++k) mine += histogram[kDigits - 1 - (kEach * lane + k)];
    unsigned through = mine;
    for (int delta = 1; delta < 32; delta *= 2) {
      const unsigned other = __shfl_up_sync(0xffffffffU, through, static_cast<unsigned>(delta));
      if (lane >= delta) through += other;
    }
    const unsigned all = __shfl_sync(0xffffffffU, through, 31);
    if (all <= want) {  // fewer than wanted: everything that begins with the prefix
      if (lane == 0) wanted[0] = 0;
      return;
    }
    unsigned before = through - mine;
    if (before >= want || through < want) return;  // the digit is another lane's
    for (int k = 0; k < kEach; ++k) {
      const int digit = kDigits - 1 - (kEach * lane + k);
      const unsigned here = histogram[digit];
      if (before + here >= want) {
        prefix[0] |= static_cast<std::uint64_t>(digit) << shift;
        prefix[1] |= std::uint64_t{0xff} << shift;
        wanted[0] = before + here == want ? 0 : want - before;
        return;
      }
      before += here;
    }
  }

  /// Bitonic; ends with a barrier.
  __device__ void sort_falling(std::uint64_t* keys) const {
    for (int size = 2; size <= padded_k; size *= 2)
      for (int apart = size / 2; apart > 0; apart /= 2) {
        for (int i = static_cast<int>(threadIdx.x); i < padded_k / 2; i += kBlockThreads) {
          const int low = 2 * i - i % apart, high = low + apart;
          const std::uint64_t a = keys[low], b = keys[high];
          if ((a < b) == ((low & size) == 0)) {
            keys[low] = b;
            keys[high] = a;
          }
        }
        __syncthreads();
      }
  }
};

}  // namespace swallowtail::cuda
