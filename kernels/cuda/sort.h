// Sorting and prefix sums of device arrays: CUB's (sort.cu); on the host, tests/emulator/sort.cpp.
// `scratch` grows to what the call needs and may be used by the next call on the same stream. To record a call into a
// graph, make it once before, so that scratch need not grow.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

/// Stable, by the lowest `bits` bits of the keys. In and out are different arrays of `count` elements.
void sort_pairs(const std::uint64_t* keys, std::uint64_t* sorted_keys, const std::uint32_t* values,
                std::uint32_t* sorted_values, std::int64_t count, int bits, DeviceBuffer<std::byte>& scratch,
                Stream& stream);

/// The same of keys alone.
void sort_keys(const std::uint32_t* keys, std::uint32_t* sorted_keys, std::int64_t count, int bits,
               DeviceBuffer<std::byte>& scratch, Stream& stream);

/// out[i] = in[0] + … + in[i]; out may be in.
void inclusive_sum(const std::int64_t* in, std::int64_t* out, std::int64_t count, DeviceBuffer<std::byte>& scratch,
                   Stream& stream);

}  // namespace swallowtail::cuda
