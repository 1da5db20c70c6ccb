// Matrix products on the device: cuBLAS (gemm.cu); on the host, plain loops (tests/emulator/gemm.cpp).
// All pointers are device memory. A product runs on the stream of its Gemm; it may be recorded into a graph once it has
// run before.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

/// What is multiplied; sums are fp32 always.
enum class Precision : std::uint8_t {
  fp32,
  tf32,  // fp32 in memory, rounded to 10 bits of mantissa on the way into the tensor cores
  bf16,
  fp16
};
constexpr bool is_half(Precision precision) noexcept { return precision >= Precision::bf16; }
constexpr std::int64_t element_bytes(Precision precision) noexcept { return is_half(precision) ? 2 : 4; }

/// Row-major, `stride` elements from row to row; `transposed`: the product takes it the other way round.
struct Matrix {
  const void* data = nullptr;
  std::int64_t stride = 0;
  bool transposed = false;
};

class Gemm {
 public:
  explicit Gemm(Stream& stream);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  struct Shape {
    std::int64_t m = 0, n = 0, k = 0;
  };
  /// c[m, n] = a[m, k] b[k, n] as they stand after `transposed`, added to what is there where `add`; c is fp32,
  /// row-major.
  /// Tensor cores want strides of a multiple of 16 bytes. The bits are the same in every run on the same device.
  /// Errors  Failure: a size or stride of 2^31 or more, or what cuBLAS reports.
  void multiply(Precision precision, const Shape& shape, const Matrix& a, const Matrix& b, float* c,
                std::int64_t c_stride, bool add = false);

 private:
  Stream* stream_;
  void* handle_ = nullptr;  // cublasHandle_t
  DeviceBuffer<std::byte> workspace_;
};

}  // namespace swallowtail::cuda
