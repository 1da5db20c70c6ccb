#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cpu/machine_limits_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#include "kernels/cpu/simd_avx512.h"

#include "kernels/cpu/machine_limits_body.h"

namespace swallowtail::cpu {

const MachineLimitsFamily& machine_limits_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
