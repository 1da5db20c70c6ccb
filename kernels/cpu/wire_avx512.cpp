#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/cpu/wire_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#include "kernels/cpu/wire_body.h"

namespace swallowtail::cpu {

const WireFamily& wire_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
