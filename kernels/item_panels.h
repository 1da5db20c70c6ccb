// The scores of all items for some users, as products of vectors: what full ranking spends its time on. Items lie in
// panels of 64, one after another, each [dim, 64], so that the items of a panel are lanes and no sum crosses lanes.
// Every sum goes in the order of d with fused multiply-adds, so that every instruction set, number of threads and
// number of users at a time gives the same bits. Immutable once made; any number of threads may call scores().
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace swallowtail {

class ItemPanels {
 public:
  static constexpr std::int64_t kWidth = 64;

  ItemPanels() = default;
  /// items [N, dim], bias [N] or empty: copied. Requires dim >= 1.
  ItemPanels(std::span<const float> items, std::int64_t dim, std::span<const float> bias = {});
  std::int64_t items() const noexcept { return items_; }

  /// scores [Q, N] = sum over d of users[q, d] * items[i, d], then + bias[i]. users [Q, dim].
  /// Cost: Q * N * dim fused multiply-adds; the panels are read once for four users.
  void scores(std::span<const float> users, std::span<float> scores) const;

 private:
  std::int64_t items_ = 0, dim_ = 1;
  std::vector<float> panels_;  // [ceil(N / 64), dim, 64], zeros behind the last item
  std::vector<float> bias_;    // [N] or empty
};

}  // namespace swallowtail
