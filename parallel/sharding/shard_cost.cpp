#include "parallel/sharding/shard_cost.h"

#include <algorithm>
#include <cmath>

#include "parallel/sharding/id_distribution.h"

namespace swallowtail {

namespace {

constexpr double kFloat = sizeof(float);

double rounded_up(double bytes, double granule) { return granule > 0 ? std::ceil(bytes / granule) * granule : bytes; }

}  // namespace

ShardCost& ShardCost::operator+=(const ShardCost& more) noexcept {
  input_s += more.input_s;
  lookup_s += more.lookup_s;
  shuffle_s += more.shuffle_s;
  gradient_s += more.gradient_s;
  update_s += more.update_s;
  input_bytes += more.input_bytes;
  forward_bytes += more.forward_bytes;
  backward_bytes += more.backward_bytes;
  table_bytes += more.table_bytes;
  state_bytes += more.state_bytes;
  buffer_bytes += more.buffer_bytes;
  return *this;
}

TableCost::TableCost(const TableSpec& table, const EmbeddingCosts& costs) : table_(table), costs_(costs) {
  const IdDistribution distribution{table.rows, table.zipf};
  ids_ = costs.batch * table.mean_ids;
  distinct_ = distribution.distinct_rows(ids_);
  distinct_by_rank_ = costs.world_size * distribution.distinct_rows(ids_ / costs.world_size);
  const double row_bytes = std::max(kFloat, kFloat * static_cast<double>(table.dim));
  const double kept_rows = costs.cache_bytes / row_bytes;
  cached_ids_ = distribution.hot_share(kept_rows);
  cached_rows_ = distinct_ > 0 ? std::min(1.0, kept_rows / distinct_) : 1;
}

/// `part`: share of the rows, and, as rows are dealt out by a hash, of the ids. The floor leaves out what a division
/// can save beside what it costs: sizes of bags, and the vectors of empty bags.
ShardCost TableCost::owned(double part, double rows, double cols, bool is_floor) const {
  const bool is_partial = part < 1;
  ShardCost cost;
  const double ids = ids_ * part;
  const double filled = costs_.batch * (1 - std::pow(1 - part, table_.mean_ids));  // bags with an id in this part
  const double bag_bytes = is_floor ? 0 : is_partial ? 2 * costs_.bag_bytes * filled : costs_.bag_bytes * costs_.batch;
  cost.input_bytes = ids * costs_.id_bytes + bag_bytes;

  double backward = table_.pooled ? filled : ids, forward = backward;
  if (table_.pooled && costs_.exact && is_partial) forward = ids;
  if (is_floor) forward = std::min(forward, ids), backward = std::min(backward, ids);
  if (costs_.deduplicates && !costs_.exact) {
    forward = std::min(forward, distinct_by_rank_ * part);
    backward = std::min(backward, distinct_by_rank_ * part);
  }
  cost.forward_bytes = forward * cols * costs_.forward_bytes;
  cost.backward_bytes = backward * cols * costs_.backward_bytes;
  cost.input_s = cost.input_bytes * costs_.link_byte_s + costs_.shard_s;
  cost.shuffle_s = cost.forward_bytes * costs_.link_byte_s;
  cost.gradient_s = cost.backward_bytes * costs_.link_byte_s;

  const double row_bytes = rounded_up(cols * kFloat, costs_.granule_bytes);
  cost.lookup_s =
      ids * (costs_.lookup_id_s + row_bytes * std::lerp(costs_.lookup_byte_s, costs_.cached_byte_s, cached_ids_));
  const double dim = std::max(1.0, static_cast<double>(table_.dim));
  const double state = static_cast<double>(table_.state_per_row) * (table_.state_is_by_row ? 1 : cols / dim);
  const double touched_bytes = 2 * (row_bytes + rounded_up(state * kFloat, costs_.granule_bytes));
  cost.update_s =
      ids * (costs_.update_id_s + cols * kFloat * costs_.gradient_byte_s) +
      distinct_ * part *
          (costs_.update_row_s + touched_bytes * std::lerp(costs_.update_byte_s, costs_.cached_byte_s, cached_rows_));

  cost.table_bytes = rows * cols * kFloat;
  cost.state_bytes = rows * state * kFloat;
  // The vectors of the global batch that this part gives, once (their gradients come in the same place), and the ids.
  cost.buffer_bytes = forward * cols * kFloat + ids * 8;
  return cost;
}

/// Each rank looks up its own samples; the update is that of the whole batch on every rank.
ShardCost TableCost::copied() const {
  ShardCost cost = owned(1, static_cast<double>(table_.rows), static_cast<double>(table_.dim), false);
  const double ranks = costs_.world_size;
  cost.lookup_s /= ranks;
  cost.forward_bytes = cost.shuffle_s = 0;
  if (costs_.copy_reduce_byte_s > 0) {
    cost.input_bytes = cost.backward_bytes = 0;
    cost.input_s = costs_.shard_s;
    cost.gradient_s = costs_.copy_reduce_byte_s * cost.table_bytes;
    cost.update_s -= ids_ * (1 - 1 / ranks) *
                     (costs_.update_id_s + static_cast<double>(table_.dim) * kFloat * costs_.gradient_byte_s);
    cost.buffer_bytes = cost.table_bytes;
  }
  return cost;
}

ShardCost TableCost::of(const ShardShape& shape) const {
  if (shape.is_copy) return copied();
  const double part =
      table_.rows > 0 ? static_cast<double>(shape.rows) / static_cast<double>(table_.rows) : (shape.cols > 0 ? 1 : 0);
  return owned(part, static_cast<double>(shape.rows), static_cast<double>(shape.cols), false);
}

double TableCost::floor_seconds() const {
  return owned(1, static_cast<double>(table_.rows), static_cast<double>(table_.dim), true).seconds();
}

double TableCost::floor_bytes() const {
  const ShardCost whole = owned(1, static_cast<double>(table_.rows), static_cast<double>(table_.dim), true);
  return whole.table_bytes + whole.state_bytes;
}

}  // namespace swallowtail
