#include "kernels/machine_limits.h"

#include <cmath>

#include "kernels/cpu/machine_limits_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {

namespace cpu {

namespace {

float gather(const float* table, std::span<const std::int64_t> ids, std::int64_t dim) {
  float sum = 0;
  for (const std::int64_t id : ids)
    for (std::int64_t d = 0; d < dim; ++d) sum += table[id * dim + d];
  return sum;
}

void copy(const float* table, std::span<const std::int64_t> ids, std::int64_t dim, float* out, std::int64_t out_rows) {
  std::int64_t to = 0;
  for (const std::int64_t id : ids) {
    for (std::int64_t d = 0; d < dim; ++d) out[to * dim + d] = table[id * dim + d];
    to = to + 1 == out_rows ? 0 : to + 1;
  }
}

void modify(float* table, std::span<const std::int64_t> ids, std::int64_t dim) {
  for (const std::int64_t id : ids)
    for (std::int64_t d = 0; d < dim; ++d) table[id * dim + d] += 1e-6F;
}

double multiply_add(std::int64_t rounds, float* sink) {
  constexpr int kChains = 8;
  float chain[kChains] = {1, 1, 1, 1, 1, 1, 1, 1};
  for (std::int64_t i = 0; i < rounds; ++i)
    for (float& one : chain) one = std::fma(one, 0.999F, 1e-3F);
  for (const float one : chain) *sink += one;
  return 2.0 * kChains * static_cast<double>(rounds);
}

const MachineLimitsFamily& family() {
  return of_active_isa(machine_limits_scalar, machine_limits_avx2, machine_limits_avx512);
}

}  // namespace

const MachineLimitsFamily& machine_limits_scalar() {
  static constexpr MachineLimitsFamily kFamily{gather, copy, modify, multiply_add};
  return kFamily;
}

}  // namespace cpu

float gather_rows(const float* table, std::span<const std::int64_t> ids, std::int64_t dim) {
  return cpu::family().gather(table, ids, dim);
}

void copy_rows(const float* table, std::span<const std::int64_t> ids, std::int64_t dim, float* out,
               std::int64_t out_rows) {
  cpu::family().copy(table, ids, dim, out, out_rows);
}

void modify_rows(float* table, std::span<const std::int64_t> ids, std::int64_t dim) {
  cpu::family().modify(table, ids, dim);
}

double multiply_add(std::int64_t rounds, float* sink) { return cpu::family().multiply_add(rounds, sink); }

}  // namespace swallowtail
