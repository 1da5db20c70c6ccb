#include <algorithm>
#include <cstdint>

#include "kernels/cpu/cross_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#include "kernels/cpu/cross_body.h"

namespace swallowtail::cpu {

const CrossFamily& cross_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
