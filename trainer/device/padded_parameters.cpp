#include "trainer/device/padded_parameters.h"

#include <algorithm>

namespace swallowtail {

PaddedParameters::PaddedParameters(const DlrmNetwork& network) : padded_(network) {
  for (NetworkLayer& layer : padded_.bottom) add(layer);
  for (NetworkCross& layer : padded_.cross) add(layer.v), add(layer.u);
  for (NetworkLayer& layer : padded_.top) add(layer);
  if (padded_.dense_linear < 0) return;
  blocks_.push_back({padded_.dense_linear, size_, 1, padded_.dense, padded_.dense});
  padded_.dense_linear = size_;
  size_ += padded_columns(padded_.dense);
}

void PaddedParameters::add(NetworkLayer& layer) {
  const std::int64_t in = padded_columns(layer.in), out = padded_columns(layer.out);
  blocks_.push_back({layer.weight, size_, layer.out, layer.in, in});
  const bool has_bias = layer.bias >= 0;
  if (has_bias) blocks_.push_back({layer.bias, size_ + out * in, 1, layer.out, out});
  layer = {in, out, size_, has_bias ? size_ + out * in : -1};
  size_ += out * in + (has_bias ? out : 0);
}

void PaddedParameters::pad(std::span<const float> host, std::span<float> device) const {
  std::ranges::fill(device, 0.0F);
  for (const Block& block : blocks_)
    for (std::int64_t row = 0; row < block.rows; ++row)
      std::copy_n(host.data() + block.host + row * block.columns, block.columns,
                  device.data() + block.device + row * block.device_columns);
}

void PaddedParameters::unpad(std::span<const float> device, std::span<float> host) const {
  for (const Block& block : blocks_)
    for (std::int64_t row = 0; row < block.rows; ++row)
      std::copy_n(device.data() + block.device + row * block.device_columns, block.columns,
                  host.data() + block.host + row * block.columns);
}

std::int64_t PaddedParameters::host_place(std::int64_t device_place) const {
  for (const Block& block : blocks_) {
    const std::int64_t within = device_place - block.device;
    if (within < 0 || within >= block.rows * block.device_columns) continue;
    const std::int64_t row = within / block.device_columns, column = within % block.device_columns;
    return column < block.columns ? block.host + row * block.columns + column : -1;
  }
  return -1;
}

}  // namespace swallowtail
