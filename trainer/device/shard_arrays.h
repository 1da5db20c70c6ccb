// The way of a shard's arrays back from the device.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/cuda/device.h"
#include "trainer/embedding/table_shard.h"

namespace swallowtail {

/// `host` becomes `device`, an array of the shard with as many elements for each of its rows. Where changes are counted
/// (TableShard::changed), rows that differ are marked. Waits for the stream.
template <typename Host, typename T>
void fetch_rows(Host& host, const cuda::DeviceBuffer<T>& device, TableShard& shard, cuda::Stream& stream) {
  static_assert(std::is_same_v<typename Host::value_type, T>);
  if (device.size() == 0) return;
  if (shard.changed.empty()) {
    cuda::copy_to_host(host.data(), device.data(), device.size(), stream);
    stream.wait();
    return;
  }
  std::vector<T> fetched(static_cast<std::size_t>(device.size()));
  cuda::copy_to_host(fetched.data(), device.data(), device.size(), stream);
  stream.wait();
  const std::size_t width = fetched.size() / shard.changed.size();
  for (std::size_t row = 0; row < shard.changed.size(); ++row)
    if (std::memcmp(&host[row * width], &fetched[row * width], width * sizeof(T)) != 0) {
      shard.changed[row] = 1;
      std::copy_n(&fetched[row * width], width, &host[row * width]);
    }
}

}  // namespace swallowtail
