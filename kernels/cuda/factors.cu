#include "kernels/cuda/factors.cuh"

#include <algorithm>

namespace swallowtail::cuda {

namespace {

DeviceTables one_table(float* rows, float* state, std::int64_t row_count, std::int64_t dim, Stream& stream) {
  DeviceTable table;
  table.rows = rows;
  table.state = state;
  table.row_count = row_count;
  table.dim = static_cast<std::int32_t>(std::min<std::int64_t>(dim, kMaxDim + 1));
  return DeviceTables(std::span(&table, 1), true, stream);
}

}  // namespace

FactorSteps::FactorSteps(const FactorTables& tables, Stream& stream)
    : tables_(tables),
      users_(one_table(tables.users, tables.user_state, tables.user_rows, tables.dim, stream)),
      items_(one_table(tables.items, tables.item_state, tables.item_rows, tables.dim, stream)),
      bias_(one_table(tables.item_bias, tables.bias_state, tables.item_rows, 1, stream)) {}

void FactorSteps::bpr(const FactorUpdate& update, const DeviceTriplets& batch, FactorResult* result, Stream& stream) {
  run(update.negatives == BprNegatives::hardest ? FactorLoss::hardest_bpr : FactorLoss::bpr, update, batch, {}, result,
      stream);
}
void FactorSteps::sampled_softmax(const FactorUpdate& update, const DeviceTriplets& batch, const DeviceLogQ& log_q,
                                  FactorResult* result, Stream& stream) {
  run(FactorLoss::sampled_softmax, update, batch, log_q, result, stream);
}

void FactorSteps::run(FactorLoss loss, const FactorUpdate& update, const DeviceTriplets& batch, const DeviceLogQ& log_q,
                      FactorResult* result, Stream& stream) {
  const std::int64_t size = batch.size, each = 1 + batch.negatives_each, dim = tables_.dim;
  zero(&result->loss, 1, stream);
  detail::fill(&result->bad_user, 0xff, 3 * sizeof result->bad_user, stream);  // kNoBadRow
  if (size == 0) return;
  item_ids_.reserve(size * each);
  item_offsets_.reserve(size + 1);
  user_offsets_.reserve(size + 1);
  zeros_.reserve(size + 1);
  ones_.reserve(size + 1);
  coefficients_.reserve(size * each);
  user_gradients_.reserve(size * dim);
  losses_.reserve(size);
  partial_losses_.reserve(kBlockThreads);

  const Grid samples{std::min(divide_up(size * kFactorLanes, kBlockThreads), kMaxBlocks), 1};
  const auto score = [&]<FactorLoss kLoss>() {
    launch<kBlockThreads>(samples, 0, stream,
                          ScoreSamples<kLoss>{tables_.users, tables_.items, tables_.item_bias, dim, batch, log_q,
                                              coefficients_.data(), user_gradients_.data(), losses_.data()});
  };
  switch (loss) {
    case FactorLoss::bpr:
      score.template operator()<FactorLoss::bpr>();
      break;
    case FactorLoss::hardest_bpr:
      score.template operator()<FactorLoss::hardest_bpr>();
      break;
    case FactorLoss::sampled_softmax:
      score.template operator()<FactorLoss::sampled_softmax>();
      break;
  }
  const std::int64_t runs = std::min<std::int64_t>(divide_up(size, kBlockThreads), kBlockThreads);
  launch<kBlockThreads>({runs, 1}, block_sum_bytes(), stream, SumLosses{losses_.data(), partial_losses_.data(), size});
  launch<kBlockThreads>({1, 1}, block_sum_bytes(), stream, AddPartialSums{partial_losses_.data(), &result->loss, runs});
  launch<kBlockThreads>(
      grid_for(size * each), 0, stream,
      MakeFactorBags{batch, item_ids_.data(), item_offsets_.data(), user_offsets_.data(), zeros_.data(), ones_.data()});

  // Items first: their gradients are multiples of the users as they were. Each place of a row decays it, or each row.
  const float* const decay = update.decays_rows_once ? nullptr : batch.weights ? batch.weights : ones_.data();
  const auto rows_of = [&](std::int64_t table) {
    return RowUpdate{.step = update.step,
                     .table_rates = update.rates ? update.rates + table : nullptr,
                     .long_segment = long_segment};
  };
  const DeviceBags item_bags{item_ids_.data(), item_offsets_.data(), coefficients_.data(), size, size * each};
  group_by_row(items_, item_bags, scratch_, stream);
  update_grouped_rows(items_, item_bags, {tables_.users, dim, batch.users, decay}, rows_of(1), scratch_,
                      &result->bad_item, stream);
  if (tables_.item_bias)
    update_grouped_rows(bias_, item_bags, {ones_.data(), 1, zeros_.data(), decay}, rows_of(2), scratch_,
                        &result->bad_bias, stream);
  const DeviceBags user_bags{batch.users, user_offsets_.data(), nullptr, size, size};
  group_by_row(users_, user_bags, scratch_, stream);
  update_grouped_rows(users_, user_bags, {user_gradients_.data(), dim, nullptr, decay}, rows_of(0), scratch_,
                      &result->bad_user, stream);
}

}  // namespace swallowtail::cuda
