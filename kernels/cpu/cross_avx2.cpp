#include <algorithm>
#include <cstdint>

#include "kernels/cpu/cross_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#include "kernels/cpu/cross_body.h"

namespace swallowtail::cpu {

const CrossFamily& cross_avx2() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
