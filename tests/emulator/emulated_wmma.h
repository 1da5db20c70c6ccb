// nvcuda::wmma for 16 x 16 x 16 tiles of 16-bit values with fp32 sums. Which lane holds which element is the device's
// secret; here lane l holds elements 8l … 8l + 7. Sums run over k in order, rounded to fp32; the hardware promises less.
#pragma once

namespace nvcuda::wmma {

struct matrix_a {};
struct matrix_b {};
struct accumulator {};
struct row_major {};
struct col_major {};
enum layout_t { mem_row_major, mem_col_major };

template <typename Use, int kM, int kN, int kK, typename T, typename Layout = void>
struct fragment {
  static_assert(kM == 16 && kN == 16 && kK == 16);
  static constexpr int num_elements = 8;
  T x[num_elements];
};

inline float value_of(__half value) { return __half2float(value); }
inline float value_of(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename Use, typename T, typename Layout>
void fill_fragment(fragment<Use, 16, 16, 16, T, Layout>& to, T value) {
  for (T& element : to.x) element = value;
}

/// All lanes arrive, then each is taken to touch the whole tile, since its share is not known.
inline void touch_tile(const char* name, const void* tile, std::size_t element_bytes, unsigned stride,
                       swallowtail::emulator::Access access) {
  namespace emulator = swallowtail::emulator;
  emulator::warp_operation({"wmma", 0}, name, 0xffffffffU, nullptr, false, [](const emulator::Lanes&) {});
  if (reinterpret_cast<std::uintptr_t>(tile) % 32 != 0 || stride * element_bytes % 16 != 0)
    emulator::fail("misaligned: wants 32 bytes, and rows of a multiple of 16: ", name);
  const unsigned lane = emulator::lane_index();
  const auto* const bytes = static_cast<const std::byte*>(tile);
  if (access == emulator::Access::read) {
    for (std::size_t row = 0; row < 16; ++row)
      emulator::check_access(bytes + row * stride * element_bytes, 16 * element_bytes, access, false);
  } else {
    emulator::check_access(bytes + (lane / 2 * stride + lane % 2 * 8) * element_bytes, 8 * element_bytes, access, false);
  }
}

template <typename Use, typename T, typename Layout>
__attribute__((no_sanitize_thread)) void load_matrix_sync(fragment<Use, 16, 16, 16, T, Layout>& to, const T* tile,
                                                          unsigned stride) {
  touch_tile("load_matrix_sync", tile, sizeof(T), stride, swallowtail::emulator::Access::read);
  const unsigned lane = swallowtail::emulator::lane_index();
  constexpr bool kByColumn = std::is_same_v<Layout, col_major>;
  for (unsigned k = 0; k < 8; ++k) {
    const unsigned element = lane * 8 + k, row = element / 16, column = element % 16;
    to.x[k] = kByColumn ? tile[column * stride + row] : tile[row * stride + column];
  }
}

template <typename T>
__attribute__((no_sanitize_thread)) void store_matrix_sync(T* tile, const fragment<accumulator, 16, 16, 16, T>& from,
                                                           unsigned stride, layout_t layout) {
  if (layout != mem_row_major) swallowtail::emulator::fail("the emulator stores accumulators by rows only");
  touch_tile("store_matrix_sync", tile, sizeof(T), stride, swallowtail::emulator::Access::write);
  const unsigned lane = swallowtail::emulator::lane_index();
  for (unsigned k = 0; k < 8; ++k) tile[(lane * 8 + k) / 16 * stride + (lane * 8 + k) % 16] = from.x[k];
}

template <typename T, typename LayoutA, typename LayoutB>
struct Product {
  fragment<accumulator, 16, 16, 16, float>* out;
  const fragment<matrix_a, 16, 16, 16, T, LayoutA>* a;
  const fragment<matrix_b, 16, 16, 16, T, LayoutB>* b;
  const fragment<accumulator, 16, 16, 16, float>* c;
};

template <typename T, typename LayoutA, typename LayoutB>
__attribute__((no_sanitize_thread)) void mma_sync(fragment<accumulator, 16, 16, 16, float>& out,
                                                  const fragment<matrix_a, 16, 16, 16, T, LayoutA>& a,
                                                  const fragment<matrix_b, 16, 16, 16, T, LayoutB>& b,
                                                  const fragment<accumulator, 16, 16, 16, float>& c) {
  namespace emulator = swallowtail::emulator;
  using One = Product<T, LayoutA, LayoutB>;
  One mine{&out, &a, &b, &c};
  emulator::warp_operation({"wmma", 1}, "mma_sync", 0xffffffffU, &mine, false,
                           [](const emulator::Lanes& lanes) __attribute__((no_sanitize_thread)) {
                             float left[256], right[256], sum[256];
                             for (int i = 0; i < 256; ++i) {
                               const auto* const lane = static_cast<const One*>(lanes.of[i / 8]);
                               left[i] = value_of(lane->a->x[i % 8]);
                               right[i] = value_of(lane->b->x[i % 8]);
                               sum[i] = lane->c->x[i % 8];
                             }
                             for (int row = 0; row < 16; ++row)
                               for (int k = 0; k < 16; ++k)
                                 for (int column = 0; column < 16; ++column)
                                   sum[row * 16 + column] += left[row * 16 + k] * right[k * 16 + column];
                             for (int i = 0; i < 256; ++i)
                               static_cast<const One*>(lanes.of[i / 8])->out->x[i % 8] = sum[i];
                           });
}

}  // namespace nvcuda::wmma
