// Asking for rows before their use, in two steps. The first-level cache has few places for lines on their way (24 on
// Zen 4), and rows that are asked for straight into it wait for each other there; the second-level cache has at least
// twice as many. So a row is brought into the second level far ahead, and into the first when it is nearly wanted: rows
// at random places then take half to two thirds of the time.
#pragma once

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLine = 64;            // bytes
constexpr std::int64_t kMostPrefetch = 1024;  // bytes of a row; the machine's own prefetcher sees the rest coming
constexpr std::int64_t kFarRows = 64, kNearRows = 8;  // rows ahead, for the second level and the first

enum class Ask { far, near, near_to_write };

/// Always inline: GCC takes a function that only prefetches for one without effect and drops its calls. kBytes: of the
/// row, where they are known when this is compiled, so that no loop asks where it ends; else 0.
template <Ask kAsk, std::int64_t kBytes = 0>
[[gnu::always_inline]] inline void ask_for(const void* row, std::int64_t any_bytes = kBytes) {
  constexpr int kWrites = kAsk == Ask::near_to_write ? 1 : 0, kLocality = kAsk == Ask::far ? 2 : 3;
  const auto* bytes = static_cast<const char*>(row);
  const std::int64_t wanted = std::min(kBytes > 0 ? kBytes : any_bytes, kMostPrefetch);
  for (std::int64_t at = 0; at < wanted; at += kLine) __builtin_prefetch(bytes + at, kWrites, kLocality);
  constexpr bool kMayCross = kBytes == 0 || (kBytes % kLine != 0 && kLine % kBytes != 0);
  if (kMayCross) __builtin_prefetch(bytes + wanted - 1, kWrites, kLocality);
}

}  // namespace
}  // namespace swallowtail::cpu
