#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/marks_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,bmi,popcnt")

namespace swallowtail::cpu {
namespace {

struct Bytes {
  __m512i wanted;
  explicit Bytes(char byte) : wanted(_mm512_set1_epi8(byte)) {}
  std::uint64_t equal(const char* text) const { return _mm512_cmpeq_epi8_mask(_mm512_loadu_si512(text), wanted); }
};

}  // namespace
}  // namespace swallowtail::cpu

#include "kernels/cpu/marks_body.h"

namespace swallowtail::cpu {

const MarksFamily& marks_avx512() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
