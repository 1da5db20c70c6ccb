// Sixteen and eight floats in AVX2 registers. Included after `#pragma GCC target`, in one translation unit a family;
// the names are those of simd_avx512.h, so that a body is written once. All of it has internal linkage: no copy of it
// may end up in code that an older machine runs.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace swallowtail::cpu {
namespace {

constexpr bool kHas512Bits = false;

struct F8 {
  static constexpr std::int64_t kWidth = 8;
  __m256 v;
  static F8 load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static F8 all(float value) { return {_mm256_set1_ps(value)}; }
  static F8 bf16(const std::uint16_t* from) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
  }
  static F8 fp16(const std::uint16_t* from) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)))};
  }
  static F8 int8(const std::int8_t* from) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))))};
  }
  void store(float* to) const { _mm256_storeu_ps(to, v); }
  /// Sums of squares in fours: the first of each four holds ((a + b) + c) + d.
  static F8 add_fours(F8 a) {
    __m256 sum = _mm256_add_ps(a.v, _mm256_permute_ps(a.v, 0x55));
    sum = _mm256_add_ps(sum, _mm256_permute_ps(a.v, 0xaa));
    return {_mm256_add_ps(sum, _mm256_permute_ps(a.v, 0xff))};
  }
  /// Element 4 k + i holds ((a + b) + c) + d of the k-th four of the i-th.
  static F8 add_fours_of(F8 first, F8 second, F8 third, F8 fourth) {
    const __m256d low0 = _mm256_castps_pd(_mm256_unpacklo_ps(first.v, second.v));
    const __m256d low1 = _mm256_castps_pd(_mm256_unpacklo_ps(third.v, fourth.v));
    const __m256d high0 = _mm256_castps_pd(_mm256_unpackhi_ps(first.v, second.v));
    const __m256d high1 = _mm256_castps_pd(_mm256_unpackhi_ps(third.v, fourth.v));
    __m256 sum = _mm256_castpd_ps(_mm256_unpacklo_pd(low0, low1));
    sum = _mm256_add_ps(sum, _mm256_castpd_ps(_mm256_unpackhi_pd(low0, low1)));
    sum = _mm256_add_ps(sum, _mm256_castpd_ps(_mm256_unpacklo_pd(high0, high1)));
    return {_mm256_add_ps(sum, _mm256_castpd_ps(_mm256_unpackhi_pd(high0, high1)))};
  }
  bool is_finite() const {
    const __m256 zero = _mm256_sub_ps(v, v);  // NaN for NaN and infinity
    return _mm256_movemask_ps(_mm256_cmp_ps(zero, zero, _CMP_UNORD_Q)) == 0;
  }
};
inline F8 operator+(F8 a, F8 b) { return {_mm256_add_ps(a.v, b.v)}; }
inline F8 operator-(F8 a, F8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline F8 operator*(F8 a, F8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline F8 operator/(F8 a, F8 b) { return {_mm256_div_ps(a.v, b.v)}; }
inline F8 fma(F8 a, F8 b, F8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline F8 sqrt(F8 a) { return {_mm256_sqrt_ps(a.v)}; }

struct F16 {
  static constexpr std::int64_t kWidth = 16;
  F8 low, high;
  static F16 load(const float* from) { return {F8::load(from), F8::load(from + 8)}; }
  static F16 all(float value) { return {F8::all(value), F8::all(value)}; }
  static F16 bf16(const std::uint16_t* from) { return {F8::bf16(from), F8::bf16(from + 8)}; }
  static F16 fp16(const std::uint16_t* from) { return {F8::fp16(from), F8::fp16(from + 8)}; }
  static F16 int8(const std::int8_t* from) { return {F8::int8(from), F8::int8(from + 8)}; }
  void store(float* to) const {
    low.store(to);
    high.store(to + 8);
  }
  static F16 add_fours_of(const F16 (&of)[4]) {
    return {F8::add_fours_of(of[0].low, of[1].low, of[2].low, of[3].low),
            F8::add_fours_of(of[0].high, of[1].high, of[2].high, of[3].high)};
  }
  /// The k-th four of x[i] and the i-th of x[k] change places.
  static void transpose_fours(F16 (&x)[4]) {
    const auto lower = [](F8 a, F8 b) { return F8{_mm256_permute2f128_ps(a.v, b.v, 0x20)}; };
    const auto upper = [](F8 a, F8 b) { return F8{_mm256_permute2f128_ps(a.v, b.v, 0x31)}; };
    const F16 a = x[0], b = x[1], c = x[2], d = x[3];
    x[0] = {lower(a.low, b.low), lower(c.low, d.low)};
    x[1] = {upper(a.low, b.low), upper(c.low, d.low)};
    x[2] = {lower(a.high, b.high), lower(c.high, d.high)};
    x[3] = {upper(a.high, b.high), upper(c.high, d.high)};
  }
  static F16 add_fours(F16 a) { return {F8::add_fours(a.low), F8::add_fours(a.high)}; }
  bool is_finite() const { return low.is_finite() && high.is_finite(); }
  /// Halves are added until one number is left.
  static float halved_sum(F16 a) {
    const __m256 eight = _mm256_add_ps(a.low.v, a.high.v);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  /// Bit k is set where element k is greater.
  static std::uint32_t greater(F16 a, F16 b) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a.low.v, b.low.v, _CMP_GT_OQ)) |
                                      _mm256_movemask_ps(_mm256_cmp_ps(a.high.v, b.high.v, _CMP_GT_OQ)) << 8);
  }
};
inline F16 operator+(F16 a, F16 b) { return {a.low + b.low, a.high + b.high}; }
inline F16 operator-(F16 a, F16 b) { return {a.low - b.low, a.high - b.high}; }
inline F16 operator*(F16 a, F16 b) { return {a.low * b.low, a.high * b.high}; }
inline F16 operator/(F16 a, F16 b) { return {a.low / b.low, a.high / b.high}; }
inline F16 fma(F16 a, F16 b, F16 c) { return {fma(a.low, b.low, c.low), fma(a.high, b.high, c.high)}; }
inline F16 sqrt(F16 a) { return {sqrt(a.low), sqrt(a.high)}; }

}  // namespace
}  // namespace swallowtail::cpu
