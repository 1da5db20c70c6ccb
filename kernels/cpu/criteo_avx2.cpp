#include <cstring>

#include "kernels/cpu/criteo_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#include "kernels/cpu/simd_avx2.h"

namespace swallowtail::cpu {
namespace {

constexpr int kWordLanes = 4;

template <typename Words>
Words product(Words a, Words b) {
  return reinterpret_cast<Words>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
}

}  // namespace
}  // namespace swallowtail::cpu

#include "kernels/cpu/criteo_body.h"

namespace swallowtail::cpu {

const CriteoFamily& criteo_avx2() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
