// An MLP by hand: the same numbers as Mlp under autograd, to rounding, without a graph. GEMMs are LibTorch's BLAS;
// bias, ReLU and dropout are one pass over its output. Activations are kept in buffers that live from step to step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/huge_pages.h"
#include "trainer/models/dense_pass.h"
#include "trainer/models/layers.h"

namespace swallowtail {

/// Row-major C[m, n] = op(A) op(B) + (add ? C : 0), fp32. lda, ldb, ldc: floats from row to row.
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
          std::int64_t lda, const float* b, std::int64_t ldb, bool add, float* c, std::int64_t ldc);

/// Floats from row to row of a matrix of so many columns: a whole number of vectors, where BLAS is fastest.
constexpr std::int64_t padded(std::int64_t columns) noexcept { return (columns + 15) / 16 * 16; }

/// Part `thread` of `of` of [begin, end), in whole steps of `step`.
struct Part {
  std::int64_t begin = 0, end = 0;
};
Part part_of(std::int64_t begin, std::int64_t end, std::int64_t step, std::int64_t thread, std::int64_t of) noexcept;

/// Rows [begin, end) are one thread's; calls for disjoint rows with different `thread` may run at once.
struct RowRange {
  std::int64_t begin = 0, end = 0;
  int thread = 0;
};

/// Room for `size` floats, zeros where it is new; what stood there is gone then.
void grow(HugeVector<float>& buffer, std::int64_t size);

/// The parameter's gradient, made of zeros where there is none.
float* gradient_of(const torch::Tensor& parameter);

/// to[j] += from[j]
void add(float* to, const float* from, std::int64_t count);

/// `part` of a bias's gradient from the sums [thread][out] of the threads that have some: added to what is there, or in
/// its place. That part of the sums becomes zero.
void collect_bias(const Part& part, std::span<const char> has_sums, std::span<std::vector<float>> sums, bool adds,
                  float* gradient);

class PlainMlp {
 public:
  explicit PlainMlp(MlpImpl& mlp) : mlp_(&mlp) {}

  /// Room for `rows` samples and `threads`; takes the weights as they are now.
  void begin(std::int64_t rows, int threads, bool fresh);
  /// x [rows of the batch, padded(inputs)], zeros behind the inputs.
  void forward(const RowRange& rows, const float* x, const DenseInput& input);
  /// output_gradient [rows of the batch, padded(outputs)], overwritten. x_gradient [rows of the batch, padded(inputs)]
  /// or null where it is not wanted; what is behind the inputs is anything.
  void backward(const RowRange& rows, float* output_gradient, float* x_gradient);
  /// Adds the gradients of rows [rows.begin, rows.end), which have all gone through backward(), to the parameters':
  /// part rows.thread of `of`, each part once and perhaps at the same time. output_gradient: as backward() left it.
  void weight_gradients(const RowRange& rows, int of, const float* x, const float* output_gradient);
  /// After all parts of weight_gradients().
  void finish();

  std::int64_t inputs() const;
  std::int64_t outputs() const;
  std::int64_t floats_a_row() const;                                    // that begin() makes room for
  const float* output() const { return layers_.back().output.data(); }  // [rows, padded(outputs)]

 private:
  struct Layer {
    std::int64_t in = 0, out = 0;
    bool relu = true;
    bool transposed = false;                 // its weight gradient is computed as [in, out]
    bool wide = false;                       // computed with padded rows, [out, padded(in)]
    const float* weight = nullptr;           // [out, in]
    const float* bias = nullptr;             // [out]
    std::vector<float> wide_weight;          // [out, padded(in)], where `wide`
    HugeVector<float> output, mask;          // [rows, padded(out)]; mask [rows, out]: dropout's, or empty
    HugeVector<float> gradient;              // [rows, padded(out)] of the output
    std::vector<float> scratch;              // where the weight gradient is computed, where that is not in place
    std::vector<std::vector<float>> biases;  // [thread][out]
    float *weight_gradient = nullptr, *bias_gradient = nullptr;
  };

  MlpImpl* mlp_;
  std::vector<Layer> layers_;
  std::vector<char> has_part_;  // [thread] its biases hold something
  bool adds_ = true;            // to what stands in the parameters' gradients
};

}  // namespace swallowtail
