// The device's words for bodies that run in the emulator: what kernels/cuda/device.cuh includes where nvcc does not
// compile. Covers what the bodies use; a word that is missing here does not compile.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cuda/device.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/half.h"

#define __device__
#define __host__
#define __forceinline__ inline
#define SWALLOWTAIL_UNROLL

#define threadIdx (::swallowtail::emulator::thread_index())
#define blockIdx (::swallowtail::emulator::block_index())
#define blockDim (::swallowtail::emulator::block_dim())
#define gridDim (::swallowtail::emulator::grid_dim())

#define SWALLOWTAIL_SITE (::swallowtail::emulator::Site{__FILE__, __LINE__})
#define __syncthreads() ::swallowtail::emulator::sync_block(SWALLOWTAIL_SITE)
#define __syncwarp(...) ::swallowtail::emulator::sync_warp(SWALLOWTAIL_SITE __VA_OPT__(, ) __VA_ARGS__)
#define __shfl_sync(...) ::swallowtail::emulator::shuffle(SWALLOWTAIL_SITE, __VA_ARGS__)
#define __shfl_xor_sync(...) ::swallowtail::emulator::shuffle_xor(SWALLOWTAIL_SITE, __VA_ARGS__)
#define __shfl_down_sync(...) ::swallowtail::emulator::shuffle_down(SWALLOWTAIL_SITE, __VA_ARGS__)
#define __shfl_up_sync(...) ::swallowtail::emulator::shuffle_up(SWALLOWTAIL_SITE, __VA_ARGS__)
#define __ballot_sync(...) ::swallowtail::emulator::ballot(SWALLOWTAIL_SITE, __VA_ARGS__)
#define __any_sync(...) (::swallowtail::emulator::ballot(SWALLOWTAIL_SITE, __VA_ARGS__) != 0)
#define __all_sync(mask, ...) (::swallowtail::emulator::ballot(SWALLOWTAIL_SITE, mask, __VA_ARGS__) == (mask))
#define __match_any_sync(...) ::swallowtail::emulator::match_any(SWALLOWTAIL_SITE, __VA_ARGS__)

namespace swallowtail::emulator {

inline void sync_warp(Site site, std::uint32_t mask = 0xffffffffU) {
  warp_operation(site, "__syncwarp", mask, nullptr, true, [](const Lanes&) {});
}

std::uint64_t exchange(Site site, const char* name, std::uint32_t mask, std::uint64_t value, unsigned source);
unsigned ballot(Site site, std::uint32_t mask, int predicate);
unsigned match_any_bits(Site site, std::uint32_t mask, std::uint64_t value);

template <typename T>
T exchange_as(Site site, const char* name, std::uint32_t mask, T value, unsigned source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "the device shuffles 4 or 8 bytes");
  std::uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof value);
  bits = exchange(site, name, mask, bits, source);
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
template <typename T>
T shuffle(Site site, std::uint32_t mask, T value, int source, int width = 32) {
  const unsigned lane = lane_index(), last = static_cast<unsigned>(width) - 1;
  return exchange_as(site, "__shfl_sync", mask, value, (lane & ~last) | (static_cast<unsigned>(source) & last));
}
template <typename T>
T shuffle_xor(Site site, std::uint32_t mask, T value, int bits, int width = 32) {
  const unsigned lane = lane_index(), source = lane ^ static_cast<unsigned>(bits);
  const bool is_inside = source <= (lane | (static_cast<unsigned>(width) - 1));
  return exchange_as(site, "__shfl_xor_sync", mask, value, is_inside ? source : lane);
}
template <typename T>
T shuffle_down(Site site, std::uint32_t mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = lane_index(), segment = lane % static_cast<unsigned>(width);
  return exchange_as(site, "__shfl_down_sync", mask, value,
                     segment + delta < static_cast<unsigned>(width) ? lane + delta : lane);
}
template <typename T>
T shuffle_up(Site site, std::uint32_t mask, T value, unsigned delta, int width = 32) {
  const unsigned lane = lane_index(), segment = lane % static_cast<unsigned>(width);
  return exchange_as(site, "__shfl_up_sync", mask, value, segment >= delta ? lane - delta : lane);
}
template <typename T>
unsigned match_any(Site site, std::uint32_t mask, T value) {
  return match_any_bits(site, mask, static_cast<std::uint64_t>(value));
}

}  // namespace swallowtail::emulator

// Atomics, defined away from the instrumentation.
int atomicAdd(int* address, int value);
unsigned atomicAdd(unsigned* address, unsigned value);
unsigned long long atomicAdd(unsigned long long* address, unsigned long long value);
float atomicAdd(float* address, float value);
int atomicMax(int* address, int value);
unsigned atomicMax(unsigned* address, unsigned value);
int atomicMin(int* address, int value);
unsigned long long atomicMin(unsigned long long* address, unsigned long long value);
unsigned atomicOr(unsigned* address, unsigned value);
unsigned atomicAnd(unsigned* address, unsigned value);
int atomicExch(int* address, int value);
int atomicCAS(int* address, int compare, int value);
unsigned atomicCAS(unsigned* address, unsigned compare, unsigned value);
unsigned long long atomicCAS(unsigned long long* address, unsigned long long compare, unsigned long long value);

inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __clz(int value) { return value == 0 ? 32 : __builtin_clz(static_cast<unsigned>(value)); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __uint_as_float(unsigned value) { return std::bit_cast<float>(value); }
inline int __float_as_int(float value) { return std::bit_cast<int>(value); }
inline float __int_as_float(int value) { return std::bit_cast<float>(value); }

struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct __half {
  std::uint16_t bits;
};
struct __nv_bfloat16 {
  std::uint16_t bits;
};
inline __half __float2half_rn(float value) { return {swallowtail::emulator::half_bits(value)}; }
inline float __half2float(__half value) { return swallowtail::emulator::from_half(value.bits); }
inline __nv_bfloat16 __float2bfloat16_rn(float value) { return {swallowtail::emulator::bfloat16_bits(value)}; }
inline float __bfloat162float(__nv_bfloat16 value) { return swallowtail::emulator::from_bfloat16(value.bits); }

namespace swallowtail::cuda {

/// The block's dynamic shared memory, divided into parts in the order of the calls. Every thread makes the same calls.
class SharedMemory {
 public:
  template <typename T>
  T* take(std::int64_t count) {
    const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(T) + 15) / 16 * 16;
    if (used_ + bytes > emulator::launched_shared_bytes())
      emulator::fail("takes more shared memory than the launch asked for");
    auto* const part = emulator::take_shared(parts_++, used_, static_cast<std::size_t>(count) * sizeof(T));
    used_ += bytes;
    return reinterpret_cast<T*>(part);
  }

 private:
  std::size_t parts_ = 0, used_ = 0;
};

/// Whole loads and stores of 8 or 16 bytes, so that their alignment is checked.
template <typename Vector, typename T>
Vector load_vector(const T* from) {
  emulator::check_access(from, sizeof(Vector), emulator::Access::read, true);
  Vector value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
template <typename Vector, typename T>
void store_vector(T* to, const Vector& value) {
  emulator::check_access(to, sizeof(Vector), emulator::Access::write, true);
  __builtin_memcpy(to, &value, sizeof value);
}

}  // namespace swallowtail::cuda

namespace swallowtail::emulator {

std::string name_of_kernel(const char* signature);
/// Runs now, or where the stream is being captured into a graph, at its replays.
void enqueue(cuda::Stream& stream, std::function<void()> work);

template <typename Kernel>
void call(const void* arguments) {
  (*static_cast<const Kernel*>(arguments))(cuda::SharedMemory{});
}

}  // namespace swallowtail::emulator

namespace swallowtail::cuda {

template <int kThreads, typename Kernel>
void launch(const Grid& grid, std::int64_t shared_bytes, Stream& stream, const Kernel& kernel) {
  const auto name = emulator::name_of_kernel(__PRETTY_FUNCTION__);
  emulator::enqueue(stream, [=] {
    emulator::run({name,
                   {static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), 1},
                   {kThreads, 1, 1},
                   static_cast<std::size_t>(shared_bytes),
                   &kernel,
                   sizeof kernel,
                   &emulator::call<Kernel>});
  });
}

}  // namespace swallowtail::cuda

#include "tests/emulator/emulated_wmma.h"
