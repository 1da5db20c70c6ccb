#include "kernels/cuda/embedding_forward.cuh"

#include <algorithm>
#include <string>

namespace swallowtail::cuda {

DeviceTables::DeviceTables(std::span<const DeviceTable> tables, bool packed, Stream& stream)
    : host_(tables.begin(), tables.end()) {
  for (std::size_t t = 0; t < host_.size(); ++t) {
    DeviceTable& table = host_[t];
    if (table.dim < 1 || table.dim > kMaxDim || table.pooling == Pooling::none)
      throw Failure("table " + std::to_string(t) + " has dim " + std::to_string(table.dim) +
                    " or no pooling; the device's lookup takes dims of 1 to " + std::to_string(kMaxDim) +
                    " and sum or mean");
    table.first_row = total_rows_;
    total_rows_ += table.row_count;
    if (packed) table.out_column = width_;
    width_ = std::max(width_, table.out_column + table.dim);
    max_dim_ = std::max<std::int64_t>(max_dim_, table.dim);
  }
  device_ = DeviceBuffer<DeviceTable>(count());
  copy_to_device(device_.data(), host_.data(), count(), stream);
  stream.wait();  // the copy reads host_, which may move
}

void pooled_lookup_forward(const DeviceTables& tables, const DeviceBags& bags, float* out, Stream& stream) {
  if (tables.count() == 0 || bags.batch == 0) return;
  launch<kBlockThreads>({PooledForward::blocks(bags.batch, tables.max_dim()), tables.count()}, 0, stream,
                        PooledForward{tables.on_device(), bags, out, tables.width()});
}

}  // namespace swallowtail::cuda
