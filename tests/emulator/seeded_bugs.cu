#include "tests/emulator/seeded_bugs.h"

#include <optional>
#include <span>
#include <vector>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/page_lock.h"

namespace swallowtail::emulator {

namespace {

using cuda::DeviceBuffer;
using cuda::SharedMemory;

constexpr int kThreads = 64;

/// Runs `kernel`, made from a device array of kThreads initialised floats, on some blocks with shared memory.
template <typename Make>
void run_on(int blocks, std::int64_t shared_bytes, Make make) {
  cuda::Stream stream;
  const std::vector<float> ones(kThreads, 1.0F);
  auto data = cuda::to_device<float>(ones, stream);
  cuda::launch<kThreads>({blocks, 1}, shared_bytes, stream, make(data.data()));
  stream.wait();
}

template <bool kBug>
struct OutOfBoundsWrite {
  float* data;
  void operator()(SharedMemory) const { data[threadIdx.x + (kBug ? 1 : 0)] = 2; }
};
template <bool kBug>
struct OutOfBoundsRead {
  float* data;
  void operator()(SharedMemory) const { data[threadIdx.x] += kBug && threadIdx.x == 0 ? data[-1] : 1.0F; }
};
template <bool kBug>
struct SharedOverrun {  // into the gap behind the first part, where the second part would be on a device
  float* data;
  void operator()(SharedMemory shared) const {
    float* const tile = shared.take<float>(kThreads);
    float* const more = shared.take<float>(kThreads);
    more[threadIdx.x] = 0;
    tile[threadIdx.x + (kBug ? 1 : 0)] = data[threadIdx.x];
  }
};
struct TakesTooMuchShared {
  float* data;
  void operator()(SharedMemory shared) const { shared.take<float>(kThreads + 1)[threadIdx.x] = data[threadIdx.x]; }
};
template <bool kBug>
struct MissingBarrier {
  float* data;
  void operator()(SharedMemory shared) const {
    float* const tile = shared.take<float>(kThreads);
    tile[threadIdx.x] = 0;
    __syncthreads();
    tile[threadIdx.x] = data[threadIdx.x];
    if (!kBug) __syncthreads();
    data[threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
  }
};
template <bool kBug>
struct MissingBarrierBeforeReuse {  // read by a neighbour, then written: the other order of the same mistake
  float* data;
  void operator()(SharedMemory shared) const {
    float* const tile = shared.take<float>(kThreads);
    tile[threadIdx.x] = data[threadIdx.x];
    __syncthreads();
    const float left = tile[(threadIdx.x + 1) % kThreads];
    if (!kBug) __syncthreads();
    tile[threadIdx.x] = left;
  }
};
template <bool kBug>
struct MissingWarpBarrier {  // shuffles order no memory, __syncwarp does
  float* data;
  void operator()(SharedMemory shared) const {
    float* const tile = shared.take<float>(kThreads);
    tile[threadIdx.x] = 0;
    __syncwarp();
    tile[threadIdx.x] = data[threadIdx.x];
    if (kBug) {
      __shfl_sync(0xffffffffU, 1, 0);
    } else {
      __syncwarp();
    }
    data[threadIdx.x] = tile[threadIdx.x ^ 1];
  }
};
template <bool kBug>
struct HalfWarpBarrier {  // a barrier of the wrong half orders nothing for this one
  float* data;
  void operator()(SharedMemory shared) const {
    float* const tile = shared.take<float>(kThreads);
    tile[threadIdx.x] = 0;
    __syncwarp();
    tile[threadIdx.x] = data[threadIdx.x];
    const bool is_low = threadIdx.x % 32 < 16;
    if (!kBug || is_low) __syncwarp(is_low ? 0x0000ffffU : 0xffff0000U);
    data[threadIdx.x] = tile[threadIdx.x ^ 1];
  }
};
template <bool kBug>
struct BlocksShareAWord {
  float* data;
  void operator()(SharedMemory) const {
    if (threadIdx.x == 0) data[kBug ? 0 : blockIdx.x] = static_cast<float>(blockIdx.x);
  }
};
template <bool kBug>
struct PlainSumAcrossThreads {
  float* data;
  void operator()(SharedMemory) const {
    if (kBug) {
      data[0] += 1;
    } else {
      atomicAdd(&data[0], 1.0F);
    }
  }
};
struct AtomicThenPlainRead {
  float* data;
  void operator()(SharedMemory) const {
    atomicAdd(&data[0], 1.0F);
    data[threadIdx.x + 1 == kThreads ? kThreads - 1 : threadIdx.x + 1] = data[0];
  }
};
template <bool kBug>
struct DivergentBarrier {
  float* data;
  void operator()(SharedMemory) const {
    if (!kBug || threadIdx.x < 40) __syncthreads();
    data[threadIdx.x] = 0;
  }
};
template <bool kBug>
struct TwoBarriers {
  float* data;
  void operator()(SharedMemory) const {
    if (kBug && threadIdx.x % 2 == 0) {
      __syncthreads();
    } else {
      __syncthreads();
    }
    data[threadIdx.x] = 0;
  }
};
template <>
struct TwoBarriers<false> {
  float* data;
  void operator()(SharedMemory) const {
    __syncthreads();
    data[threadIdx.x] = 0;
  }
};
template <bool kBug>
struct MaskNamesLanesThatSkip {
  float* data;
  void operator()(SharedMemory) const {
    if (threadIdx.x % 32 < 20)
      data[threadIdx.x] = __shfl_sync(kBug ? 0xffffffffU : 0x000fffffU, data[threadIdx.x], 0);
  }
};
template <bool kBug>
struct MaskLeavesOutItself {
  float* data;
  void operator()(SharedMemory) const {
    if (kBug || threadIdx.x % 32 < 16) data[threadIdx.x] = __ballot_sync(0x0000ffffU, 1) != 0 ? 1.0F : 0.0F;
  }
};
template <bool kBug>
struct ShuffleFromOutsideTheMask {
  float* data;
  void operator()(SharedMemory) const {
    if (threadIdx.x % 32 < 16) data[threadIdx.x] = __shfl_sync(0x0000ffffU, data[threadIdx.x], kBug ? 20 : 15);
  }
};
template <bool kBug>
struct UninitialisedShared {
  float* data;
  void operator()(SharedMemory shared) const {
    float* const tile = shared.take<float>(kThreads);
    if (!kBug || threadIdx.x != 5) tile[threadIdx.x] = 1;
    __syncthreads();
    if (blockIdx.x == 0) data[threadIdx.x] = tile[threadIdx.x ^ 1];
  }
};
template <bool kBug>
struct Misaligned {
  float* data;
  void operator()(SharedMemory) const {
    if (threadIdx.x == 0) data[0] = cuda::load_vector<float4>(data + (kBug ? 2 : 4)).x;
  }
};
template <bool kBug>
struct TileWithoutBarrier {  // wmma loads wait for the lanes, and order no memory
  float* data;
  void operator()(SharedMemory shared) const {
    auto* const tile = shared.take<__half>(2 * 256) + threadIdx.x / 32 * 256;
    for (unsigned i = threadIdx.x % 32; i < 256; i += 32) tile[i] = __float2half_rn(0);
    __syncwarp();
    for (unsigned i = threadIdx.x % 32; i < 256; i += 32) tile[i] = __float2half_rn(data[0]);
    if (!kBug) __syncwarp();
    using namespace nvcuda::wmma;
    fragment<matrix_a, 16, 16, 16, __half, row_major> a;
    load_matrix_sync(a, tile, 16);
  }
};

template <template <bool> typename Kernel, bool kBug>
void seeded() {
  run_on(2, 2 * kThreads * static_cast<std::int64_t>(sizeof(float)) * 4, [](float* data) {
    return Kernel<kBug>{data};
  });
}
/// Kernels whose blocks write the same words run on one block, so that only the bug that is meant can show.
template <template <bool> typename Kernel, bool kBug>
void seeded_alone() {
  run_on(1, 4 * kThreads * static_cast<std::int64_t>(sizeof(float)), [](float* data) { return Kernel<kBug>{data}; });
}

void takes_too_much() {
  run_on(1, kThreads * 4, [](float* data) { return TakesTooMuchShared{data}; });
}
void atomic_then_read() {
  run_on(1, 0, [](float* data) { return AtomicThenPlainRead{data}; });
}
template <bool kBug>
void uninitialised_global() {
  cuda::Stream stream;
  DeviceBuffer<float> data(kThreads);
  if (!kBug) cuda::zero(data.data(), kThreads, stream);
  cuda::launch<kThreads>({1, 1}, 0, stream, OutOfBoundsRead<false>{data.data()});
}
template <bool kBug>
void after_free() {
  cuda::Stream stream;
  DeviceBuffer<float> keeps(1), data(kThreads);
  cuda::zero(data.data(), kThreads, stream);
  float* const memory = data.data();
  if (kBug) data = DeviceBuffer<float>();
  if (kBug) DeviceBuffer<float> swapped_out(std::move(data));
  cuda::launch<kThreads>({1, 1}, 0, stream, OutOfBoundsRead<false>{memory});
}
template <bool kBug>
void host_pointer() {
  cuda::Stream stream;
  std::vector<float> host(kThreads);
  DeviceBuffer<float> data(kThreads);
  cuda::zero(data.data(), kThreads, stream);
  cuda::launch<kThreads>({1, 1}, 0, stream, OutOfBoundsWrite<false>{kBug ? host.data() : data.data()});
}
template <bool kBug>
void past_pinned_memory() {  // kernels may use pinned host memory, within its bounds
  cuda::Stream stream;
  cuda::PinnedBuffer<float> host(kThreads);
  cuda::launch<kThreads>({1, 1}, 0, stream, OutOfBoundsWrite<kBug>{host.data()});
}
template <bool kBug>
void race_in_pinned_memory() {
  cuda::Stream stream;
  cuda::PinnedBuffer<float> host(2);
  cuda::launch<kThreads>({2, 1}, 0, stream, BlocksShareAWord<kBug>{host.data()});
}
std::span<const std::span<std::byte>> one(const std::span<std::byte>& range) { return {&range, 1}; }
template <bool kBug>
void after_unlocking() {  // and the host's memory, while its pages are locked
  cuda::Stream stream;
  std::vector<float> host(kThreads);
  std::optional<cuda::PageLock> lock(one(std::as_writable_bytes(std::span(host))));
  if (kBug) lock.reset();
  cuda::launch<kThreads>({1, 1}, 0, stream, OutOfBoundsWrite<false>{host.data()});
}
template <bool kBug>
void race_in_locked_pages() {
  cuda::Stream stream;
  std::vector<float> host(2);
  const cuda::PageLock lock(one(std::as_writable_bytes(std::span(host))));
  cuda::launch<kThreads>({2, 1}, 0, stream, BlocksShareAWord<kBug>{host.data()});
}
template <bool kBug>
void host_reads_device() {
  cuda::Stream stream;
  DeviceBuffer<float> data(1);
  cuda::zero(data.data(), 1, stream);
  volatile float value = 0;
  if (kBug) value = data.data()[0];
  static_cast<void>(value);
  stream.wait();
}
template <bool kBug>
void result_of_nothing() {
  cuda::Stream stream;
  DeviceBuffer<float> data(2);
  cuda::zero(data.data(), kBug ? 1 : 2, stream);
  float host[2];
  cuda::copy_to_host(host, data.data(), 2, stream);
}

#define SWALLOWTAIL_PAIR(Kernel, words) {#Kernel, seeded_alone<Kernel, true>, words}, {#Kernel " twin", seeded_alone<Kernel, false>, ""}
#define SWALLOWTAIL_CALLS(call, words) {#call, call<true>, words}, {#call " twin", call<false>, ""}
constexpr Seeded kSeeded[]{
    SWALLOWTAIL_PAIR(OutOfBoundsWrite, "out of bounds: writes 4 bytes of device memory, 0 bytes past the end"),
    SWALLOWTAIL_PAIR(OutOfBoundsRead, "out of bounds: reads 4 bytes of device memory, 4 bytes before"),
    SWALLOWTAIL_PAIR(SharedOverrun, "out of bounds: writes 4 bytes of shared memory, 0 bytes past the end"),
    {"TakesTooMuchShared", takes_too_much, "takes more shared memory"},
    SWALLOWTAIL_PAIR(MissingBarrier, "race: "),
    SWALLOWTAIL_PAIR(MissingBarrierBeforeReuse, "race: "),
    SWALLOWTAIL_PAIR(MissingWarpBarrier, "race: "),
    SWALLOWTAIL_PAIR(HalfWarpBarrier, "race: "),
    {"BlocksShareAWord", seeded<BlocksShareAWord, true>, "race: writes"},
    {"BlocksShareAWord twin", seeded<BlocksShareAWord, false>, ""},
    SWALLOWTAIL_PAIR(PlainSumAcrossThreads, "race: "),
    {"PlainSumAcrossThreads twin on two blocks", seeded<PlainSumAcrossThreads, false>, ""},
    {"each block's own shared memory, on two blocks", seeded<UninitialisedShared, false>, ""},
    {"AtomicThenPlainRead", atomic_then_read, "race: "},
    SWALLOWTAIL_PAIR(DivergentBarrier, "divergent barrier: 40 threads wait"),
    SWALLOWTAIL_PAIR(TwoBarriers, "divergent barrier: threads wait at"),
    SWALLOWTAIL_PAIR(MaskNamesLanesThatSkip, "__shfl_sync"),
    SWALLOWTAIL_PAIR(MaskLeavesOutItself, "is not in its own mask"),
    SWALLOWTAIL_PAIR(ShuffleFromOutsideTheMask, "which is not in the mask"),
    SWALLOWTAIL_PAIR(UninitialisedShared, "reads shared memory that nothing wrote"),
    SWALLOWTAIL_PAIR(Misaligned, "misaligned: reads 16 bytes"),
    SWALLOWTAIL_PAIR(TileWithoutBarrier, "race: reads"),
    SWALLOWTAIL_CALLS(uninitialised_global, "reads device memory that nothing wrote"),
    SWALLOWTAIL_CALLS(after_free, "freed device memory"),
    SWALLOWTAIL_CALLS(host_pointer, "neither device nor shared memory"),
    SWALLOWTAIL_CALLS(past_pinned_memory, "out of bounds: writes 4 bytes of pinned host memory, 0 bytes past the end"),
    SWALLOWTAIL_CALLS(race_in_pinned_memory, "race: writes"),
    SWALLOWTAIL_CALLS(after_unlocking, "neither device nor shared memory"),
    SWALLOWTAIL_CALLS(race_in_locked_pages, "race: writes"),
    SWALLOWTAIL_CALLS(host_reads_device, "host code reads device memory"),
    SWALLOWTAIL_CALLS(result_of_nothing, "reads device memory that nothing wrote"),
};

}  // namespace

std::span<const Seeded> seeded_kernels() { return kSeeded; }

}  // namespace swallowtail::emulator
