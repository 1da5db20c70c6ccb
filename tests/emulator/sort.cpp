// kernels/cuda/sort.h on the host: std::stable_sort and a plain sum stand in for CUB, whose own tests are its makers'.
#include "kernels/cuda/sort.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "tests/emulator/emulated_cuda.h"

namespace swallowtail::cuda {

namespace {

template <typename T>
std::vector<T> fetch(const T* device, std::int64_t count) {
  std::vector<T> host(static_cast<std::size_t>(count));
  emulator::copy_to_host(host.data(), reinterpret_cast<const std::byte*>(device), host.size() * sizeof(T));
  return host;
}
template <typename T>
void put(T* device, const std::vector<T>& host) {
  emulator::copy_to_device(reinterpret_cast<std::byte*>(device), host.data(), host.size() * sizeof(T));
}

}  // namespace

void sort_pairs(const std::uint64_t* keys, std::uint64_t* sorted_keys, const std::uint32_t* values,
                std::uint32_t* sorted_values, std::int64_t count, int bits, DeviceBuffer<std::byte>&, Stream& stream) {
  emulator::enqueue(stream, [=] {
    const auto key = fetch(keys, count);
    const auto value = fetch(values, count);
    std::vector<std::size_t> order(key.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const std::uint64_t mask = bits >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;  // as a radix sort sees
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return key[i] & mask; });
    std::vector<std::uint64_t> out_keys;
    std::vector<std::uint32_t> out_values;
    for (const std::size_t i : order) {
      out_keys.push_back(key[i]);
      out_values.push_back(value[i]);
    }
    put(sorted_keys, out_keys);
    put(sorted_values, out_values);
  });
}

void sort_keys(const std::uint32_t* keys, std::uint32_t* sorted_keys, std::int64_t count, int bits,
               DeviceBuffer<std::byte>&, Stream& stream) {
  emulator::enqueue(stream, [=] {
    auto key = fetch(keys, count);
    const std::uint32_t mask = bits >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << bits) - 1;
    std::ranges::stable_sort(key, {}, [&](std::uint32_t one) { return one & mask; });
    put(sorted_keys, key);
  });
}

void inclusive_sum(const std::int64_t* in, std::int64_t* out, std::int64_t count, DeviceBuffer<std::byte>&,
                   Stream& stream) {
  emulator::enqueue(stream, [=] {
    auto values = fetch(in, count);
    std::partial_sum(values.begin(), values.end(), values.begin());
    put(out, values);
  });
}

}  // namespace swallowtail::cuda
