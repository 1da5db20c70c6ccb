// The cross network by hand: the same numbers as CrossNet under autograd, to rounding, without a graph. Products are
// LibTorch's BLAS, what lies around them is kernels/cross.h.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/huge_pages.h"
#include "trainer/models/layers.h"
#include "trainer/models/plain_mlp.h"

namespace swallowtail {

/// Matrices over the width have rows of padded(width()) floats, zeros behind the width.
class PlainCross {
 public:
  explicit PlainCross(CrossNetImpl& net) : net_(&net) {}

  /// Room for `rows` samples and `threads`; takes the weights as they are now.
  void begin(std::int64_t rows, int threads, bool fresh);
  /// x0 [rows of the batch].
  void forward(const RowRange& rows, const float* x0);
  /// The thread's forward() before this one was for the same rows. gradient [rows of the batch]: the output's, becomes
  /// that of x0; behind the width it may be any finite number.
  void backward(const RowRange& rows, const float* x0, float* gradient);
  /// As PlainMlp's: part rows.thread of `of` for rows that have all gone through backward().
  void weight_gradients(const RowRange& rows, int of, const float* x0);
  /// After all parts of weight_gradients().
  void finish();

  std::int64_t width() const { return net_->layers().front()->bias.size(0); }
  std::int64_t floats_a_row() const;                                    // that begin() makes room for
  const float* output() const { return layers_.back().output.data(); }  // [rows]

 private:
  struct Layer {
    const float *v = nullptr, *u = nullptr;     // [rank, width], [width, rank]
    std::vector<float> bias;                    // padded
    HugeVector<float> inner, inner_gradient;    // V x [rows, padded(rank)]
    HugeVector<float> output;                   // [rows]
    HugeVector<float> product_gradient;         // [rows] of U (V x)
    std::vector<std::vector<float>> bias_sums;  // [thread][padded(width)]
    float *v_gradient = nullptr, *u_gradient = nullptr, *bias_gradient = nullptr;
  };
  struct Scratch {                            // a thread's, of its block of rows
    std::vector<HugeVector<float>> products;  // [layer] U (V x)
    std::vector<float> x0_gradient, bias_gradient;
  };

  CrossNetImpl* net_;
  std::int64_t rank_ = 0, stride_ = 0, inner_stride_ = 0;
  std::vector<Layer> layers_;
  std::vector<Scratch> scratch_;  // [thread]
  std::vector<char> has_part_;    // [thread] its bias_sums hold something
  bool adds_ = true;              // to what stands in the parameters' gradients
};

}  // namespace swallowtail
