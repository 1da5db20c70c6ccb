#include "trainer/device/table_room.h"

#include <algorithm>
#include <numeric>

#include "kernels/cuda/row_cache.h"
#include "trainer/device/padded_parameters.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kFloat = sizeof(float), kHalf = 2;

std::int64_t bytes_of(const TableDemand& table) { return table.rows * table.row_bytes; }

std::int64_t set_bytes(const TableDemand& table) { return kCacheWays * (table.row_bytes + cuda::RowCache::kSlotBytes); }

/// What a table's cache has at least.
std::int64_t least_bytes(const TableDemand& table) {
  const std::int64_t slots = std::min(table.rows, 4 * table.batch_ids);
  return std::max<std::int64_t>(1, (slots + kCacheWays - 1) / kCacheWays) * set_bytes(table);
}

}  // namespace

std::int64_t work_bytes(const DeviceModel& model, std::int64_t samples) {
  const DlrmNetwork network = PaddedParameters(model.network).network();
  const std::int64_t parameters = PaddedParameters(model.network).size(), averages = model.average_decay > 0 ? 1 : 0;
  const std::int64_t states = dense_state_width(model.optimizer.kind, model.optimizer.momentum, 1);
  const std::int64_t dense = parameters * (kFloat * (2 + states + averages) + kHalf * (1 + averages));

  std::int64_t outputs = 0, widest = 0;
  for (const auto* const layers : {&network.bottom, &network.top})
    for (const NetworkLayer& layer : *layers) {
      outputs += layer.out;
      widest = std::max({widest, layer.in, layer.out});
    }
  for (const NetworkCross& layer : network.cross) outputs += 2 * layer.u.out + layer.v.out;
  if (!network.cross.empty()) outputs += 2 * network.cross.front().u.out;
  const auto tables = std::ssize(model.tables);
  const std::int64_t features = padded_columns(network.dense), crossed = network.top.front().in;
  const std::int64_t pooled = padded_columns(tables - network.vectors) + (network.vectors + 1) * network.dim;
  const std::int64_t activations =
      kFloat * (outputs + 3 * widest + 2 * (pooled + crossed + network.top.back().out) + 1) +
      kHalf * (widest + features + crossed);

  double ids = 0;
  for (const EmbeddingTable& table : model.tables) ids += table.mean_ids;
  constexpr std::int64_t kBlocks = 3;                  // two of training, one of scoring
  constexpr double kIdBytes = 12 * kBlocks + 72 + 60;  // on their way, grouped by row, brought to caches
  const std::int64_t input = kBlocks * (kFloat * (features + 2) + 8 * tables);
  const double id_bytes = ids * (kIdBytes + static_cast<double>(network.dim) / 128);  // dim: pieces of long sums
  return dense + samples * (activations + input + static_cast<std::int64_t>(2 * id_bytes));
}

std::optional<std::vector<std::int64_t>> plan_row_caches(std::span<const TableDemand> tables, std::int64_t room) {
  std::vector<std::int64_t> slots(tables.size(), 0);
  std::int64_t whole = 0;  // bytes of the tables that are not cached
  for (const TableDemand& table : tables) whole += bytes_of(table);
  if (whole <= room) return slots;

  std::vector<std::size_t> by_size(tables.size());
  std::iota(by_size.begin(), by_size.end(), std::size_t{0});
  std::ranges::stable_sort(by_size, std::greater{}, [&](std::size_t t) { return bytes_of(tables[t]); });
  std::int64_t least = 0, one_set = 0, cached_bytes = 0;
  std::size_t cached = 0;
  for (; cached < tables.size() && (cached == 0 || whole + std::max(least + one_set, room / 2) > room); ++cached) {
    const TableDemand& table = tables[by_size[cached]];
    whole -= bytes_of(table);
    cached_bytes += bytes_of(table);
    least += least_bytes(table) - set_bytes(table);
    one_set += set_bytes(table);
  }
  const std::int64_t left = room - whole - one_set;  // besides a set each
  if (left < 0) return {};
  for (std::size_t i = 0; i < cached; ++i) {
    const TableDemand& table = tables[by_size[i]];
    const auto mine = static_cast<double>(least_bytes(table) - set_bytes(table));
    const auto part = [&](double of, std::int64_t all) { return all > 0 ? of / static_cast<double>(all) : 0.0; };
    // Too little for all: each gets as large a part of what it wants.
    const double share = left < least ? part(mine, least) * static_cast<double>(left)
                                      : mine + part(static_cast<double>(bytes_of(table)), cached_bytes) *
                                                   static_cast<double>(left - least);
    slots[by_size[i]] = (1 + static_cast<std::int64_t>(share) / set_bytes(table)) * kCacheWays;
  }
  return slots;
}

}  // namespace swallowtail
