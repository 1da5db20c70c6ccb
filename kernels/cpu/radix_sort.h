// A stable radix sort, least significant digit first, shared among the threads of OpenMP: each counts and moves its own
// stretch, so the result is that of one thread.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace swallowtail::cpu {

inline constexpr int kMostDigitBits = 12;                    // 4096 open lines fit the second-level cache
inline constexpr std::size_t kElementsForThreads = 1 << 15;  // below this a parallel region costs more than it gains

/// The digits that take least, of so many bits: each counts and moves every value, and visits every bucket.
inline int digits_of(int bits, std::size_t size) noexcept {
  int best = 0;
  std::size_t least = static_cast<std::size_t>(-1);
  for (int digits = (bits + kMostDigitBits - 1) / kMostDigitBits; digits <= bits; ++digits) {
    const std::size_t cost =
        static_cast<std::size_t>(digits) * (2 * size + (std::size_t{1} << (bits + digits - 1) / digits));
    if (cost >= least) break;
    least = cost;
    best = digits;
  }
  return best;
}

/// Sorts `values` by the bits [low, high) of key_of(value), an unsigned number; `scratch` is of the same size
/// afterwards. A digit that all values share costs a count and no move. `for_threads`: elements from which on threads
/// share the work.
template <typename T, typename KeyOf>
void radix_sort(std::vector<T>& values, std::vector<T>& scratch, int low, int high, KeyOf key_of,
                std::size_t for_threads = kElementsForThreads) {
  const std::size_t size = values.size();
  scratch.resize(size);
  if (high <= low || size < 2) return;
  const int digits = digits_of(high - low, size);
  const int width = (high - low + digits - 1) / digits;
  const std::size_t buckets = std::size_t{1} << width;
  std::vector<std::size_t> places;  // [thread][bucket] how many, then where the next one goes
  bool is_shared = false;           // one bucket has all
#pragma omp parallel if (size >= for_threads)
  {
    const auto threads = static_cast<std::size_t>(omp_get_num_threads());
    const auto thread = static_cast<std::size_t>(omp_get_thread_num());
    const std::size_t begin = size * thread / threads, end = size * (thread + 1) / threads;
    for (int digit = 0; digit < digits; ++digit) {
      const int shift = low + digit * width;
      const std::size_t mask = (std::size_t{1} << std::min(width, high - shift)) - 1;
      const auto bucket_of = [&](const T& value) { return static_cast<std::size_t>(key_of(value) >> shift) & mask; };
#pragma omp single
      {
        places.assign(threads * buckets, 0);
        is_shared = false;
      }
      std::size_t* const mine = places.data() + thread * buckets;
      for (std::size_t i = begin; i < end; ++i) ++mine[bucket_of(values[i])];
#pragma omp barrier
#pragma omp single
      {
        std::size_t next = 0;
        for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
          const std::size_t before = next;
          for (std::size_t t = 0; t < threads; ++t) {
            const std::size_t count = places[t * buckets + bucket];
            places[t * buckets + bucket] = next;
            next += count;
          }
          is_shared = is_shared || next - before == size;
        }
      }
      if (!is_shared)
        for (std::size_t i = begin; i < end; ++i) scratch[mine[bucket_of(values[i])]++] = values[i];
#pragma omp barrier
#pragma omp single
      if (!is_shared) values.swap(scratch);
    }
  }
}

}  // namespace swallowtail::cpu
