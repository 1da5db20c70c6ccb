#include "kernels/cuda/gemm.h"

#include <cublas_v2.h>

#include <string>

namespace swallowtail::cuda {

namespace {

// Of cuBLAS's own choice for Hopper. Given once, so that recorded products allocate nothing and have the same bits.
constexpr std::int64_t kWorkspaceBytes = std::int64_t{32} << 20;

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Failure(std::string("cuBLAS: ") + what + ": " + cublasGetStatusString(status));
}

int narrow(std::int64_t size) {
  if (size < 0 || size >= std::int64_t{1} << 31)
    throw Failure("a matrix product takes sizes below 2^31, and " + std::to_string(size) + " was asked for");
  return static_cast<int>(size);
}

cudaDataType_t type_of(Precision precision) {
  if (precision == Precision::fp16) return CUDA_R_16F;
  return precision == Precision::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

}  // namespace

Gemm::Gemm(Stream& stream) : stream_(&stream), workspace_(kWorkspaceBytes) {
  cublasHandle_t handle = nullptr;
  check(cublasCreate(&handle), "start");
  handle_ = handle;
  check(cublasSetStream(handle, static_cast<cudaStream_t>(stream.handle())), "stream");
  check(cublasSetWorkspace(handle, workspace_.data(), static_cast<std::size_t>(kWorkspaceBytes)), "workspace");
}

Gemm::~Gemm() { cublasDestroy(static_cast<cublasHandle_t>(handle_)); }

void Gemm::multiply(Precision precision, const Shape& shape, const Matrix& a, const Matrix& b, float* c,
                    std::int64_t c_stride, bool add) {
  if (shape.m == 0 || shape.n == 0) return;
  const float one = 1, share_of_old = add ? 1 : 0;
  const cublasComputeType_t compute = precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  // Row-major C = A B is column-major C' = B' A'.
  check(cublasGemmEx(static_cast<cublasHandle_t>(handle_), b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                     a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N, narrow(shape.n), narrow(shape.m), narrow(shape.k), &one,
                     b.data, type_of(precision), narrow(b.stride), a.data, type_of(precision), narrow(a.stride),
                     &share_of_old, c, CUDA_R_32F, narrow(c_stride), compute, CUBLAS_GEMM_DEFAULT),
        "matrix product");
}

}  // namespace swallowtail::cuda
