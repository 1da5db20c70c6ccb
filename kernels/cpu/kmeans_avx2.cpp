#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/cpu/kmeans_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#include "kernels/cpu/simd_avx2.h"

#include "kernels/cpu/kmeans_body.h"

namespace swallowtail::cpu {

const KmeansFamily& kmeans_avx2() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
