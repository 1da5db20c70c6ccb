// kernels/cuda/sort.h over CUB. Each call asks CUB for the scratch that it wants first; that costs no launch.
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>
#include <string>

#include "kernels/cuda/sort.h"

namespace swallowtail::cuda {

namespace {

void check(cudaError_t result, const char* what) {
  if (result != cudaSuccess) throw Failure(std::string(what) + ": " + cudaGetErrorString(result));
}

/// call(scratch, its size): with a null pointer CUB writes the size that it needs.
template <typename Call>
void with_scratch(DeviceBuffer<std::byte>& scratch, const char* what, Call call) {
  std::size_t bytes = 0;
  check(call(nullptr, bytes), what);
  scratch.reserve(static_cast<std::int64_t>(bytes == 0 ? 1 : bytes));  // never null, which would mean a question
  check(call(scratch.data(), bytes), what);
}

}  // namespace

void sort_pairs(const std::uint64_t* keys, std::uint64_t* sorted_keys, const std::uint32_t* values,
                std::uint32_t* sorted_values, std::int64_t count, int bits, DeviceBuffer<std::byte>& scratch,
                Stream& stream) {
  if (count == 0) return;
  with_scratch(scratch, "radix sort", [&](void* memory, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(memory, bytes, keys, sorted_keys, values, sorted_values, count, 0, bits,
                                           static_cast<cudaStream_t>(stream.handle()));
  });
}

void sort_keys(const std::uint32_t* keys, std::uint32_t* sorted_keys, std::int64_t count, int bits,
               DeviceBuffer<std::byte>& scratch, Stream& stream) {
  if (count == 0) return;
  with_scratch(scratch, "radix sort of keys", [&](void* memory, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortKeys(memory, bytes, keys, sorted_keys, count, 0, bits,
                                          static_cast<cudaStream_t>(stream.handle()));
  });
}

void inclusive_sum(const std::int64_t* in, std::int64_t* out, std::int64_t count, DeviceBuffer<std::byte>& scratch,
                   Stream& stream) {
  if (count == 0) return;
  with_scratch(scratch, "prefix sum", [&](void* memory, std::size_t& bytes) {
    return cub::DeviceScan::InclusiveSum(memory, bytes, in, out, count, static_cast<cudaStream_t>(stream.handle()));
  });
}

}  // namespace swallowtail::cuda
