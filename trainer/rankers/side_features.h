// Columns of a side table as features of a network.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>

#include "trainer/data/interactions.h"

namespace swallowtail {

struct FeatureOptions {
  std::size_t most_categories = 1000;  // of a column that becomes features; more are names, not kinds
  std::int64_t bins = 0;  // of a number, by equal shares of the rows that count: one feature each beside its value
};

/// [rows + 1, features]: numbers standardised over the rows that count, 0 where missing; categories 0 or 1 over the
/// root of their number, so that no column outweighs another. Free text and images are none. The last row, of somebody
/// unknown, is zero.
torch::Tensor side_features(const SideTable& table, std::int64_t rows, const std::function<bool(std::int64_t)>& counts,
                            const FeatureOptions& options = {});

}  // namespace swallowtail
