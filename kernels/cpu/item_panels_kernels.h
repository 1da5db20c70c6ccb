// The variants of the products of users and panels of items: item_panels.h says what they mean.
#pragma once

#include <cstdint>

namespace swallowtail::cpu {

struct PanelTask {
  const float* panel;                        // [dim, 64]
  const float* users;                        // [queries, dim]
  const float* bias;                         // [count], or null
  float* scores;                             // [queries, stride]: the panel's columns
  std::int64_t queries, dim, count, stride;  // count: items of the panel, at most 64
};

struct ItemPanelFamily {
  void (*score)(const PanelTask& task);
};

const ItemPanelFamily& item_panels_scalar();
const ItemPanelFamily& item_panels_avx2();
const ItemPanelFamily& item_panels_avx512();

}  // namespace swallowtail::cpu
