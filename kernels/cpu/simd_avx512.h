// Sixteen and eight floats in AVX-512 registers: see simd_avx2.h.
#pragma once

// GCC 12 takes the undefined operands of its own intrinsics for a mistake (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>
#include <cstring>

namespace swallowtail::cpu {
namespace {

constexpr bool kHas512Bits = true;

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
  __m512 v;
  static F16 load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static F16 all(float value) { return {_mm512_set1_ps(value)}; }
  static F16 bf16(const std::uint16_t* from) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
  }
  static F16 fp16(const std::uint16_t* from) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))};
  }
  static F16 int8(const std::int8_t* from) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))))};
  }
  void store(float* to) const { _mm512_storeu_ps(to, v); }
  /// Element 4 k + i holds ((a + b) + c) + d of the k-th four of of[i].
  static F16 add_fours_of(const F16 (&of)[4]) {
    const __m512d low0 = _mm512_castps_pd(_mm512_unpacklo_ps(of[0].v, of[1].v));
    const __m512d low1 = _mm512_castps_pd(_mm512_unpacklo_ps(of[2].v, of[3].v));
    const __m512d high0 = _mm512_castps_pd(_mm512_unpackhi_ps(of[0].v, of[1].v));
    const __m512d high1 = _mm512_castps_pd(_mm512_unpackhi_ps(of[2].v, of[3].v));
    __m512 sum = _mm512_castpd_ps(_mm512_unpacklo_pd(low0, low1));
    sum = _mm512_add_ps(sum, _mm512_castpd_ps(_mm512_unpackhi_pd(low0, low1)));
    sum = _mm512_add_ps(sum, _mm512_castpd_ps(_mm512_unpacklo_pd(high0, high1)));
    return {_mm512_add_ps(sum, _mm512_castpd_ps(_mm512_unpackhi_pd(high0, high1)))};
  }
  /// The k-th four of x[i] and the i-th of x[k] change places.
  static void transpose_fours(F16 (&x)[4]) {
    const __m512 a = _mm512_shuffle_f32x4(x[0].v, x[1].v, 0x44), b = _mm512_shuffle_f32x4(x[2].v, x[3].v, 0x44);
    const __m512 c = _mm512_shuffle_f32x4(x[0].v, x[1].v, 0xee), d = _mm512_shuffle_f32x4(x[2].v, x[3].v, 0xee);
    x[0].v = _mm512_shuffle_f32x4(a, b, 0x88);
    x[1].v = _mm512_shuffle_f32x4(a, b, 0xdd);
    x[2].v = _mm512_shuffle_f32x4(c, d, 0x88);
    x[3].v = _mm512_shuffle_f32x4(c, d, 0xdd);
  }
  static F16 add_fours(F16 a) {
    __m512 sum = _mm512_add_ps(a.v, _mm512_permute_ps(a.v, 0x55));
    sum = _mm512_add_ps(sum, _mm512_permute_ps(a.v, 0xaa));
    return {_mm512_add_ps(sum, _mm512_permute_ps(a.v, 0xff))};
  }
  bool is_finite() const {
    const __m512 zero = _mm512_sub_ps(v, v);
    return _mm512_cmp_ps_mask(zero, zero, _CMP_UNORD_Q) == 0;
  }
  static float halved_sum(F16 a) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static std::uint32_t greater(F16 a, F16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ); }
};
inline F16 operator+(F16 a, F16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F16 operator-(F16 a, F16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F16 operator*(F16 a, F16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F16 operator/(F16 a, F16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F16 fma(F16 a, F16 b, F16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F16 sqrt(F16 a) { return {_mm512_sqrt_ps(a.v)}; }

}  // namespace
}  // namespace swallowtail::cpu
