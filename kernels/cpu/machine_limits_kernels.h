// The variants of the limits: machine_limits.h says what they are.
#pragma once

#include "kernels/machine_limits.h"

namespace swallowtail::cpu {

struct MachineLimitsFamily {
  float (*gather)(const float* table, std::span<const std::int64_t> ids, std::int64_t dim);
  void (*copy)(const float* table, std::span<const std::int64_t> ids, std::int64_t dim, float* out,
               std::int64_t out_rows);
  void (*modify)(float* table, std::span<const std::int64_t> ids, std::int64_t dim);
  double (*multiply_add)(std::int64_t rounds, float* sink);
};

const MachineLimitsFamily& machine_limits_scalar();
const MachineLimitsFamily& machine_limits_avx2();
const MachineLimitsFamily& machine_limits_avx512();

}  // namespace swallowtail::cpu
