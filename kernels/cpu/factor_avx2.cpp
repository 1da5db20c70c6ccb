#include <omp.h>
#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

#include "kernels/cpu/factor_kernels.h"
#include "kernels/cpu/row_update_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#include "kernels/cpu/simd_avx2.h"

#include "kernels/cpu/factor_body.h"

namespace swallowtail::cpu {

const FactorFamily& factor_avx2() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
