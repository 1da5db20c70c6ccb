// The words that device bodies use. A body is a struct: its fields are the kernel's arguments, and
// `__device__ void operator()(SharedMemory) const` is what each thread does. launch<threads a block>(…) starts it. The
// same text is compiled by nvcc and, with other words behind the same names, by the host's compiler for the emulator
// (tests/emulator), which checks bounds, races, barriers and warp masks.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"

#if defined(__CUDACC__)

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

#include <string>
#include <type_traits>

// Before a loop whose count the compiler knows: a local array that it indexes can then stay in registers.
#define SWALLOWTAIL_UNROLL _Pragma("unroll")

namespace swallowtail::cuda {

/// The block's dynamic shared memory, divided into parts in the order of the calls. Every thread makes the same calls.
class SharedMemory {
 public:
  __device__ explicit SharedMemory(unsigned char* memory) : next_(memory) {}
  template <typename T>
  __device__ T* take(std::int64_t count) {
    T* const part = reinterpret_cast<T*>(next_);
    next_ += (count * static_cast<std::int64_t>(sizeof(T)) + 15) / 16 * 16;
    return part;
  }

 private:
  unsigned char* next_;
};

/// Blocks that shall live on a multiprocessor at once: a kernel's own kResidentBlocks, else 0: the compiler's choice.
/// Left to itself ptxas spills a few registers to reach 64 a thread, even in loops that are hot; a kernel that says 3 has
/// 80 and does not.
template <typename Kernel, typename = void>
struct ResidentBlocks {
  static constexpr int kValue = 0;
};
template <typename Kernel>
struct ResidentBlocks<Kernel, std::void_t<decltype(Kernel::kResidentBlocks)>> {
  static constexpr int kValue = Kernel::kResidentBlocks;
};

template <int kThreads, typename Kernel>
__global__ void __launch_bounds__(kThreads, ResidentBlocks<Kernel>::kValue) run(const __grid_constant__ Kernel kernel) {
  extern __shared__ __align__(128) unsigned char memory[];
  kernel(SharedMemory(memory));
}

inline void check(cudaError_t result, const char* what) {
  if (result != cudaSuccess) throw Failure(std::string(what) + ": " + cudaGetErrorString(result));
}

template <int kThreads, typename Kernel>
void launch(const Grid& grid, std::int64_t shared_bytes, Stream& stream, const Kernel& kernel) {
  const auto function = run<kThreads, Kernel>;
  if (shared_bytes > 48 * 1024)
    check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
          "shared memory of a kernel");
  function<<<dim3(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y)), kThreads,
             static_cast<std::size_t>(shared_bytes), static_cast<cudaStream_t>(stream.handle())>>>(kernel);
  check(cudaGetLastError(), "launch of a kernel");
}

template <typename Vector, typename T>
__device__ inline Vector load_vector(const T* from) {
  return *reinterpret_cast<const Vector*>(from);
}
template <typename Vector, typename T>
__device__ inline void store_vector(T* to, const Vector& value) {
  *reinterpret_cast<Vector*>(to) = value;
}

}  // namespace swallowtail::cuda

#else
#include <emulated_cuda.h>  // tests/emulator, on the include path of the emulated build alone
#endif

namespace swallowtail::cuda {

inline constexpr int kBlockThreads = 256;
inline constexpr std::int64_t kMaxBlocks = 4096;  // of kernels that stride over their work: enough to fill any device

constexpr std::int64_t divide_up(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }
/// Bytes that SharedMemory::take<T>(count) uses.
template <typename T>
constexpr std::int64_t shared_part(std::int64_t count) {
  return divide_up(count * static_cast<std::int64_t>(sizeof(T)), 16) * 16;
}
/// Blocks for one item a thread, striding where there are more.
constexpr Grid grid_for(std::int64_t items) {
  const std::int64_t blocks = divide_up(items, kBlockThreads);
  return {blocks < kMaxBlocks ? blocks : kMaxBlocks, 1};
}
__device__ inline std::int64_t first_item() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t item_stride() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

/// Lanes that share the columns of a row of `quads` quads: a power of two, so that groups fill a warp.
__device__ __host__ inline int lanes_for(int quads) {
  int lanes = 1;
  while (lanes < quads && lanes < 32) lanes *= 2;
  return lanes;
}
/// The mask of the thread's group of `lanes` lanes.
__device__ inline unsigned group_mask(int lanes) {
  const unsigned lane = threadIdx.x % 32;
  return lanes == 32 ? 0xffffffffU : ((1U << lanes) - 1U) << (lane / lanes * lanes);
}

}  // namespace swallowtail::cuda
