#include "trainer/device/dlrm/input_block.h"

#include <algorithm>

namespace swallowtail {

namespace {
constexpr std::int64_t kAlignment = 256;
std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }
}  // namespace

BagSet bags_of(const Batch& batch, std::span<const EmbeddingTable> tables) {
  BagSet bags{.tables = {}, .bags = batch.size};
  for (const EmbeddingTable& table : tables) {
    const JaggedIds& ids = batch.ids[static_cast<std::size_t>(table.feature)];
    bags.tables.push_back({{ids.values, ids.offsets, ids.weights}});
  }
  return bags;
}

bool InputBlock::pack(const Batch& batch, const BagSet& bags, std::int64_t dense_features) {
  shape_ = {.samples = batch.size, .bags = bags.bags, .has_weights = !batch.weights.empty()};
  for (const auto& [ids, whole_sizes] : bags.tables) {
    shape_.ids += std::ssize(ids.values);
    shape_.has_id_weights = shape_.has_id_weights || !ids.weights.empty() || !whole_sizes.empty();
  }
  const std::int64_t columns = padded_columns(dense_features);
  std::int64_t end = 0;
  const auto take = [&](std::int64_t count, std::int64_t bytes) {
    const std::int64_t at = end;
    end = aligned(end + count * bytes);
    return at;
  };
  places_.values = take(shape_.ids, 8);
  places_.offsets = take(std::ssize(bags.tables) * shape_.bags + 1, 8);
  places_.id_weights = take(shape_.has_id_weights ? shape_.ids : 0, 4);
  places_.dense = take(shape_.samples * columns, 4);
  places_.labels = take(shape_.samples, 4);
  places_.weights = take(shape_.has_weights ? shape_.samples : 0, 4);
  places_.end = end;
  host_.reserve(end);
  const std::byte* const before = device_.data();
  device_.reserve(end);

  auto* values = host_at<std::int64_t>(places_.values);
  auto* offsets = host_at<std::int64_t>(places_.offsets);
  auto* id_weights = host_at<float>(places_.id_weights);
  std::int64_t base = 0;
  first_id_.assign(1, 0);
  *offsets++ = 0;
  for (const auto& [ids, whole_sizes] : bags.tables) {
    values = std::ranges::copy(ids.values, values).out;
    for (std::int64_t b = 1; b <= shape_.bags; ++b) *offsets++ = base + ids.offsets[static_cast<std::size_t>(b)];
    base += std::ssize(ids.values);
    first_id_.push_back(base);
    if (!shape_.has_id_weights) continue;
    float* const end_of_weights = ids.weights.empty() ? std::fill_n(id_weights, ids.values.size(), 1.0F)
                                                      : std::ranges::copy(ids.weights, id_weights).out;
    for (std::size_t b = 0; b < whole_sizes.size(); ++b)
      for (std::int64_t i = ids.offsets[b]; i < ids.offsets[b + 1]; ++i)
        id_weights[i] *= 1.0F / static_cast<float>(whole_sizes[b]);
    id_weights = end_of_weights;
  }
  auto* dense = host_at<float>(places_.dense);
  for (std::int64_t b = 0; b < shape_.samples; ++b) {
    dense = std::copy_n(batch.dense.data() + b * dense_features, dense_features, dense);
    dense = std::fill_n(dense, columns - dense_features, 0.0F);
  }
  std::ranges::copy(batch.labels, host_at<float>(places_.labels));
  std::ranges::copy(batch.weights, host_at<float>(places_.weights));
  return device_.data() != before;
}

void InputBlock::send(cuda::Stream& stream) { cuda::copy_to_device(device_.data(), host_.data(), places_.end, stream); }

InputBlock::Ids InputBlock::ids() const {
  return {reinterpret_cast<std::int64_t*>(device_.data() + places_.values), first_id_};
}

cuda::DeviceBags InputBlock::bags() const {
  return {device_at<std::int64_t>(places_.values), device_at<std::int64_t>(places_.offsets),
          shape_.has_id_weights ? device_at<float>(places_.id_weights) : nullptr, shape_.bags, shape_.ids};
}

DeviceBatch InputBlock::batch() const {
  return {shape_.samples, device_at<float>(places_.dense), device_at<float>(places_.labels),
          shape_.has_weights ? device_at<float>(places_.weights) : nullptr};
}

}  // namespace swallowtail
