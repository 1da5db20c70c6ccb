// What pairwise and sampled losses train: two tables of factors, users and items, whose score is the dot product (plus
// the item's bias). A step takes a batch of (user, positive item, K negative items), computes the loss with the rows as
// they were before it, adds the gradients of every place of a row, and gives each touched row one optimizer step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/embedding.h"
#include "kernels/optimizer.h"

namespace swallowtail {

struct FactorTables {  // borrowed, changed
  float* users;        // [user rows, dim]
  float* items;        // [item rows, dim]
  float* item_bias;    // [item rows], or null: no bias
  float* user_state;   // [user rows, sparse_state_width(dim)]
  float* item_state;   // [item rows, sparse_state_width(dim)]
  float* bias_state;   // [item rows, sparse_state_width(1)], or null without a bias
  std::int64_t user_rows, item_rows, dim;
};

struct TripletBatch {                       // borrowed
  std::span<const std::int64_t> users;      // [B]
  std::span<const std::int64_t> positives;  // [B] items
  std::span<const std::int64_t> negatives;  // [B, K] items
  std::span<const float> weights;           // [B], or empty: every sample weighs 1
  std::int64_t size() const noexcept { return static_cast<std::int64_t>(users.size()); }
  std::int64_t negatives_each() const noexcept {
    return users.empty() ? 0 : static_cast<std::int64_t>(negatives.size() / users.size());
  }
};

/// Memory of a step, reused by the next.
struct FactorScratch {
  std::vector<std::int64_t> items, user_offsets, item_offsets;
  std::vector<float> coefficients;    // [B, 1 + K] derivative of the loss by each score
  std::vector<float> user_gradients;  // [B, dim]
  std::vector<float> losses;          // [B]
  // Samples none of whose rows another place of the batch names are stepped where their scores are made; `shared` are
  // the others.
  std::vector<std::uint8_t> alone;  // [B], or empty: all are shared
  std::vector<std::int64_t> shared;
  std::vector<float> shared_coefficients, shared_decay;  // [shared, 1 + K], [shared]
  std::vector<std::uint64_t> user_marks, item_marks;     // bits: a row was seen, was seen again
  std::vector<const float*> rows;
  RowGroups groups;
};

/// What a step came to. `bad_row` is the least row of `table` whose gradient is not finite, which was left alone; -1:
/// none.
struct FactorStep {
  double loss = 0;  // sum over the batch of weight * loss of the sample, regularisation apart
  enum class Table : std::uint8_t { none, users, items, bias } bad_table = Table::none;
  std::int64_t bad_row = -1;
};

}  // namespace swallowtail
