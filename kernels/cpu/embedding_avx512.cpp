#include <omp.h>
#include <algorithm>
#include <cstring>

#include "kernels/cpu/embedding_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#include "kernels/cpu/simd_avx512.h"

#include "kernels/cpu/embedding_body.h"

namespace swallowtail::cpu {

const EmbeddingFamily& embedding_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
