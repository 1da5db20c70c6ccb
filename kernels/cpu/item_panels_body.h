// Four users at a time against as many columns of a panel as the registers hold. Included after a simd_*.h, under its
// target.
#pragma once

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kPanel = 64, kLanes = 16, kUsers = 4;
constexpr std::int64_t kColumns = kHas512Bits ? 4 : 1;  // of sixteen items each

void score(const PanelTask& task) {
  for (std::int64_t first = 0; first < task.queries; first += kUsers) {
    const std::int64_t users = std::min(kUsers, task.queries - first);
    const float* rows[kUsers];
    for (std::int64_t q = 0; q < kUsers; ++q) rows[q] = task.users + (first + std::min(q, users - 1)) * task.dim;
    for (std::int64_t begin = 0; begin < task.count; begin += kColumns * kLanes) {
      F16 sum[kUsers][kColumns];
      for (auto& of_user : sum)
        for (F16& one : of_user) one = F16::all(0);
      const float* column = task.panel + begin;
      for (std::int64_t d = 0; d < task.dim; ++d, column += kPanel) {
        F16 items[kColumns];
        for (std::int64_t c = 0; c < kColumns; ++c) items[c] = F16::load(column + c * kLanes);
        for (std::int64_t q = 0; q < kUsers; ++q) {
          const F16 user = F16::all(rows[q][d]);
          for (std::int64_t c = 0; c < kColumns; ++c) sum[q][c] = fma(user, items[c], sum[q][c]);
        }
      }
      for (std::int64_t q = 0; q < users; ++q)
        for (std::int64_t c = 0; c < kColumns; ++c) {
          const std::int64_t item = begin + c * kLanes, left = std::min(kLanes, task.count - item);
          if (left <= 0) break;
          float* const to = task.scores + (first + q) * task.stride + item;
          if (left == kLanes && task.bias == nullptr) {
            sum[q][c].store(to);
          } else if (left == kLanes) {
            (sum[q][c] + F16::load(task.bias + item)).store(to);
          } else {
            float copy[kLanes];
            sum[q][c].store(copy);
            for (std::int64_t i = 0; i < left; ++i) to[i] = task.bias ? copy[i] + task.bias[item + i] : copy[i];
          }
        }
    }
  }
}

constexpr ItemPanelFamily kFamily{score};

}  // namespace
}  // namespace swallowtail::cpu
