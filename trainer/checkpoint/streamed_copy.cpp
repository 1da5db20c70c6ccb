#include "trainer/checkpoint/streamed_copy.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace swallowtail {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 22;

#if defined(__x86_64__)
/// SSE2, which every x86-64 has: the memory is slower than its stores. Prefetched past the caches, as what is read is
/// not wanted again: the processor's own prefetcher stops at every page.
void copy_part(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  constexpr std::size_t kLine = 64, kAhead = 1024;
  const std::size_t head = std::min(size, (kLine - reinterpret_cast<std::uintptr_t>(to) % kLine) % kLine);
  std::memcpy(to, from, head);
  std::size_t at = head;
  for (; at + kLine <= size; at += kLine) {
    _mm_prefetch(reinterpret_cast<const char*>(from + at + kAhead), _MM_HINT_NTA);  // past the end: no harm
    const auto* const source = reinterpret_cast<const __m128i*>(from + at);
    auto* const target = reinterpret_cast<__m128i*>(to + at);
    const __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1), c = _mm_loadu_si128(source + 2),
                  d = _mm_loadu_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
  std::memcpy(to + at, from + at, size - at);
  _mm_sfence();
}
#else
void copy_part(std::byte* to, const std::byte* from, std::size_t size) noexcept { std::memcpy(to, from, size); }
#endif

}  // namespace

void copy_streamed(std::byte* to, std::span<const std::byte> from) noexcept {
  const auto parts = static_cast<std::int64_t>((from.size() + kPart - 1) / kPart);
#pragma omp parallel for schedule(static) if (parts > 1)
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::size_t begin = static_cast<std::size_t>(part) * kPart;
    copy_part(to + begin, from.data() + begin, std::min(kPart, from.size() - begin));
  }
}

}  // namespace swallowtail
