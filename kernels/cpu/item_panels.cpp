#include "kernels/item_panels.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/item_panels_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {

namespace cpu {

namespace {

void score(const PanelTask& task) {
  for (std::int64_t q = 0; q < task.queries; ++q)
    for (std::int64_t i = 0; i < task.count; ++i) {
      float sum = 0;
      for (std::int64_t d = 0; d < task.dim; ++d)
        sum = std::fma(task.users[q * task.dim + d], task.panel[d * ItemPanels::kWidth + i], sum);
      task.scores[q * task.stride + i] = task.bias ? sum + task.bias[i] : sum;
    }
}

}  // namespace

const ItemPanelFamily& item_panels_scalar() {
  static constexpr ItemPanelFamily kFamily{score};
  return kFamily;
}

}  // namespace cpu

ItemPanels::ItemPanels(std::span<const float> items, std::int64_t dim, std::span<const float> bias)
    : items_(static_cast<std::int64_t>(items.size()) / dim), dim_(dim), bias_(bias.begin(), bias.end()) {
  const std::int64_t panels = (items_ + kWidth - 1) / kWidth;
  panels_.assign(static_cast<std::size_t>(panels * dim * kWidth), 0.0F);
#pragma omp parallel for schedule(static) if (panels >= 64)
  for (std::int64_t panel = 0; panel < panels; ++panel)
    for (std::int64_t i = panel * kWidth; i < std::min(items_, (panel + 1) * kWidth); ++i)
      for (std::int64_t d = 0; d < dim; ++d)
        panels_[(panel * dim + d) * kWidth + i - panel * kWidth] = items[i * dim + d];
}

void ItemPanels::scores(std::span<const float> users, std::span<float> scores) const {
  const auto& family = cpu::of_active_isa(cpu::item_panels_scalar, cpu::item_panels_avx2, cpu::item_panels_avx512);
  const std::int64_t queries = static_cast<std::int64_t>(users.size()) / dim_, panels = (items_ + kWidth - 1) / kWidth;
#pragma omp parallel for schedule(static) if (queries * items_ * dim_ >= 1 << 18)
  for (std::int64_t panel = 0; panel < panels; ++panel)
    family.score({.panel = panels_.data() + panel * dim_ * kWidth,
                  .users = users.data(),
                  .bias = bias_.empty() ? nullptr : bias_.data() + panel * kWidth,
                  .scores = scores.data() + panel * kWidth,
                  .queries = queries,
                  .dim = dim_,
                  .count = std::min(kWidth, items_ - panel * kWidth),
                  .stride = items_});
}

}  // namespace swallowtail
