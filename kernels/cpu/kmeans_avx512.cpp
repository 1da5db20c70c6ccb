#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/cpu/kmeans_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#include "kernels/cpu/simd_avx512.h"

#include "kernels/cpu/kmeans_body.h"

namespace swallowtail::cpu {

const KmeansFamily& kmeans_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
