// A batch on its way to the device: packed into one page-locked block, sent in one copy.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/cuda/embedding.h"
#include "trainer/data/batch.h"
#include "trainer/device/dlrm/device_dlrm.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

/// The bags that one table on the device looks up.
struct TableBags {
  JaggedView ids;  // offsets from 0
  /// [bags] what a mean divides by, where the bags are parts of longer ones: the weights of their ids then have it in
  /// them. Empty: nothing of that kind.
  std::span<const std::int64_t> whole_sizes{};
};

struct BagSet {
  std::vector<TableBags> tables;
  std::int64_t bags = 0;  // of each
};

/// Where one rank holds all tables: each takes the ids of its feature.
BagSet bags_of(const Batch& batch, std::span<const EmbeddingTable> tables);

class InputBlock {
 public:
  /// What a recorded graph depends on.
  struct Shape {
    std::int64_t samples = 0, bags = 0, ids = 0;
    bool has_id_weights = false, has_weights = false;
    bool operator==(const Shape&) const = default;
  };

  /// Packs the batch's dense part and `bags` into the host's side, once what was sent before has been used. True where
  /// the device's side moved.
  bool pack(const Batch& batch, const BagSet& bags, std::int64_t dense_features);
  void send(cuda::Stream& stream);

  const Shape& shape() const noexcept { return shape_; }
  /// The ids of the tables, one table's behind the other's.
  struct Ids {
    std::int64_t* values;                 // on the device, until they are sent again
    std::span<const std::int64_t> first;  // [tables + 1] on the host
  };
  Ids ids() const;
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
  std::vector<std::int64_t> first_id_;
  cuda::PinnedBuffer<std::byte> host_;
  cuda::DeviceBuffer<std::byte> device_;
};

}  // namespace swallowtail
