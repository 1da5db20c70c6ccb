#include "kernels/cuda/row_average.cuh"

#include <algorithm>

namespace swallowtail::cuda {

namespace {

template <bool kAfter>
void average(const RowAverages& of, const DeviceBags& bags, Stream& stream) {
  if (bags.ids == 0) return;
  const int lanes = lanes_for(static_cast<int>(of.tables->max_dim()));
  launch<kBlockThreads>(
      {std::min(divide_up(bags.ids * lanes, kBlockThreads), kMaxBlocks), 1}, 0, stream,
      AverageRows<kAfter>{of.tables->on_device(), of.tables->count(), of.averages, of.decays, of.facts, bags, lanes});
}

}  // namespace

void average_before_update(const RowAverages& of, const DeviceBags& bags, Stream& stream) {
  average<false>(of, bags, stream);
}
void average_after_update(const RowAverages& of, const DeviceBags& bags, Stream& stream) {
  average<true>(of, bags, stream);
}

void settle_averages(const RowAverages& of, std::int64_t step, Stream& stream) {
  std::int64_t rows = 0;
  for (const DeviceTable& table : of.tables->on_host()) rows = std::max(rows, table.row_count);
  if (rows == 0) return;
  launch<kBlockThreads>({std::min(divide_up(rows * 32, kBlockThreads), kMaxBlocks), of.tables->count()}, 0, stream,
                        SettleRows{of.tables->on_device(), of.averages, of.decays, step});
}

}  // namespace swallowtail::cuda
