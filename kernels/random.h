// Randomness from counters: the same (seed, purpose, a, b) gives the same bits on every rank, in every order.
// No state, so any thread or rank may make any sample's numbers. Mixing: SplitMix64's finaliser (Steele, Lea, Flood,
// OOPSLA 2014), chained over the words of the key.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>

namespace swallowtail::random {

constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// A purpose's number from its name, e.g. purpose("dropout"); FNV-1a, 64 bits.
constexpr std::uint64_t purpose(std::string_view name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash;
}

/// 64 uniform bits for a key.
constexpr std::uint64_t bits(std::uint64_t seed, std::uint64_t purpose, std::uint64_t a = 0,
                             std::uint64_t b = 0) noexcept {
  return mix(mix(mix(mix(seed) ^ purpose) ^ a) ^ b);
}

/// Uniform in [0, 1), 53 bits.
constexpr double uniform(std::uint64_t bits) noexcept { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

__extension__ using Uint128 = unsigned __int128;  // g++ and clang have it; strict ISO C++ does not

/// Uniform in [0, n), n > 0, by multiplication (bias below n / 2^64).
constexpr std::int64_t below(std::uint64_t bits, std::int64_t n) noexcept {
  return static_cast<std::int64_t>((static_cast<Uint128>(bits) * static_cast<std::uint64_t>(n)) >> 64);
}

/// Standard normal by Box-Muller from one key (two derived draws).
inline double normal(std::uint64_t key) noexcept {
  const double u = 1.0 - uniform(mix(key ^ 0x5851f42d4c957f2dULL)), v = uniform(mix(key ^ 0x14057b7ef767814fULL));
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace swallowtail::random
