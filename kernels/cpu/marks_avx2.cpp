#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/marks_kernels.h"

#pragma GCC push_options
#pragma GCC target("avx2,bmi,popcnt")

namespace swallowtail::cpu {
namespace {

struct Bytes {
  __m256i wanted;
  explicit Bytes(char byte) : wanted(_mm256_set1_epi8(byte)) {}
  std::uint64_t equal(const char* text) const { return half(text) | static_cast<std::uint64_t>(half(text + 32)) << 32; }

 private:
  std::uint32_t half(const char* text) const {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, wanted)));
  }
};

}  // namespace
}  // namespace swallowtail::cpu

#include "kernels/cpu/marks_body.h"

namespace swallowtail::cpu {

const MarksFamily& marks_avx2() { return kFamily; }

}  // namespace swallowtail::cpu
#pragma GCC pop_options
