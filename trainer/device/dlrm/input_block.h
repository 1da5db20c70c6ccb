// A batch on its way to the device: packed into one page-locked block, sent in one copy.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cuda/embedding.h"
#include "trainer/data/batch.h"
#include "trainer/device/dlrm/device_dlrm.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

class InputBlock {
 public:
  /// What a recorded graph depends on.
  struct Shape {
    std::int64_t samples = 0, ids = 0;
    bool has_id_weights = false, has_weights = false;
    bool operator==(const Shape&) const = default;
  };

  /// Packs into the host's side, once what was sent before has been used. True where the device's side moved.
  bool pack(const Batch& batch, std::span<const EmbeddingTable> tables, std::int64_t dense_features);
  void send(cuda::Stream& stream);

  const Shape& shape() const noexcept { return shape_; }
  cuda::DeviceBags bags() const;
  DeviceBatch batch() const;

 private:
  struct Places {  // bytes from the beginning
    std::int64_t values, offsets, id_weights, dense, labels, weights, end;
  };
  template <typename T>
  T* host_at(std::int64_t place) {
    return reinterpret_cast<T*>(host_.data() + place);
  }
  template <typename T>
  const T* device_at(std::int64_t place) const {
    return reinterpret_cast<const T*>(device_.data() + place);
  }

  Shape shape_;
  Places places_{};
  cuda::PinnedBuffer<std::byte> host_;
  cuda::DeviceBuffer<std::byte> device_;
};

}  // namespace swallowtail
