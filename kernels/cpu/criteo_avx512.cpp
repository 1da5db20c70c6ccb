#include <cstring>

#include "kernels/cpu/criteo_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")
#include "kernels/cpu/simd_avx512.h"

namespace swallowtail::cpu {
namespace {

constexpr int kWordLanes = 8;

template <typename Words>
Words product(Words a, Words b) {
  return reinterpret_cast<Words>(_mm512_mul_epu32(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
}

}  // namespace
}  // namespace swallowtail::cpu

#include "kernels/cpu/criteo_body.h"

namespace swallowtail::cpu {

const CriteoFamily& criteo_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
