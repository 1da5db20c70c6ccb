// The dense parameters as they lie on the device: each weight's rows and columns are rounded up to whole vectors, so
// that products run on the tensor cores, and what is added is zero. It stays zero: activations and gradients there are
// zero, and every optimizer leaves a zero weight with a zero gradient alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/device/dlrm_network.h"

namespace swallowtail {

/// Elements of a row of the device's matrices: 16 bytes even with 16-bit elements.
constexpr std::int64_t padded_columns(std::int64_t columns) noexcept { return (columns + 7) / 8 * 8; }

class PaddedParameters {
 public:
  explicit PaddedParameters(const DlrmNetwork& network);

  /// The same network with places and widths of the device's array.
  const DlrmNetwork& network() const noexcept { return padded_; }
  std::int64_t size() const noexcept { return size_; }  // floats
  /// Between flat arrays of one float a parameter: `host` in the model's order, `device` [size()].
  void pad(std::span<const float> host, std::span<float> device) const;
  void unpad(std::span<const float> device, std::span<float> host) const;
  /// The host's place of the device's place, or -1 in the padding.
  std::int64_t host_place(std::int64_t device_place) const;

 private:
  struct Block {
    std::int64_t host, device, rows, columns, device_columns;
  };
  void add(NetworkLayer& layer);

  DlrmNetwork padded_;
  std::vector<Block> blocks_;
  std::int64_t size_ = 0;
};

}  // namespace swallowtail
