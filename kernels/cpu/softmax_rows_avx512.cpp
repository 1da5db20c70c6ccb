#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "kernels/cpu/softmax_rows_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#include "kernels/cpu/softmax_rows_body.h"

namespace swallowtail::cpu {

const SoftmaxFamily& softmax_rows_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
