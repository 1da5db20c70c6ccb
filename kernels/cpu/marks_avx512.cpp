#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/marks_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,bmi,popcnt")

namespace swallowtail::cpu {
namespace {

struct Pair {
  __m512i first, second;
  Pair(char a, char b) : first(_mm512_set1_epi8(a)), second(_mm512_set1_epi8(b)) {}
  std::uint64_t match(const char* text) const {
    const __m512i bytes = _mm512_loadu_si512(text);
    return _mm512_cmpeq_epi8_mask(bytes, first) | _mm512_cmpeq_epi8_mask(bytes, second);
  }
};

}  // namespace
}  // namespace swallowtail::cpu

#include "kernels/cpu/marks_body.h"

namespace swallowtail::cpu {

const MarksFamily& marks_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
