// Optimizers on raw fp32 arrays. Sparse ones update one row of a table from its deduplicated gradient (the sum over all
// bags of the global batch) and leave every other row's bits alone; dense ones update a flat array of parameters.
//   sgd              w -= lr * g
//   adagrad          s += g*g; w -= lr * g / (sqrt(s) + eps)                                     state: 1 float a
//   weight rowwise_adagrad  m += mean_j(g_j^2); w -= lr * g / (sqrt(m) + eps)                           state: 1 float
//   a row adam             moments of touched rows only, bias correction by the global step            state: 2 floats
//   a weight adamw            adam with w *= 1 - lr * weight_decay first (decoupled)
// weight_decay of the others is L2: g += weight_decay * w before all else.
// Sources: Duchi et al., JMLR 2011; Kingma and Ba, arXiv:1412.6980; Loshchilov and Hutter, arXiv:1711.05101; the
// row-wise form as in the reference DLRM (mean over the columns, not the sum).
#pragma once

#include <cstdint>
#include <span>

namespace swallowtail {

enum class Optimizer : std::uint8_t { sgd, adagrad, rowwise_adagrad, adam, adamw };

struct OptimizerStep {
  Optimizer kind = Optimizer::sgd;
  float learning_rate = 0;  // of this step
  float epsilon = 0;
  float beta1 = 0.9F, beta2 = 0.999F;
  float weight_decay = 0;
  float momentum = 0;     // dense sgd only
  std::int64_t step = 1;  // 1 for the first update; Adam's bias correction
};

/// Floats of state for a row of `dim` weights.
std::int64_t sparse_state_width(Optimizer kind, std::int64_t dim) noexcept;
/// Floats of state for a flat array of `size` parameters (rowwise_adagrad is refused by the schema for dense
/// parameters).
std::int64_t dense_state_width(Optimizer kind, float momentum, std::int64_t size) noexcept;
/// The usual epsilon: 1e-10 for the Adagrads, 1e-8 for the Adams.
float usual_epsilon(Optimizer kind) noexcept;

/// One row: weights [dim], gradient [dim] (overwritten where L2 is on), state [sparse_state_width].
void update_row(const OptimizerStep& step, std::int64_t dim, float* weights, float* gradient, float* state) noexcept;

// The same in parts, for a row whose columns lie on several ranks: add_decay on each, then, for rowwise_adagrad, the
// squares of all columns brought together, then apply_row on each. The statistic is the mean over all columns of the
// row whatever the division: it is summed from pieces of kSquareColumns columns in their order, so a table that is
// split at multiples of kSquareColumns has the bits of an unsplit one.
inline constexpr std::int64_t kSquareColumns = 4;
constexpr std::int64_t square_count(std::int64_t cols) noexcept { return (cols + kSquareColumns - 1) / kSquareColumns; }

/// gradient += weight_decay * weights, where the optimizer's decay is L2.
void add_decay(const OptimizerStep& step, std::int64_t cols, const float* weights, float* gradient) noexcept;
/// pieces[k] = sum of squares of the columns [4k, 4k + 4) of `gradient`; pieces [square_count(cols)].
void square_pieces(const float* gradient, std::int64_t cols, float* pieces) noexcept;
/// Sum of the pieces, in order, over dim.
float mean_square(std::span<const float> pieces, std::int64_t dim) noexcept;
/// The update of `cols` columns from a gradient that has its decay. mean_square: of the whole row; rowwise_adagrad
/// only.
void apply_row(const OptimizerStep& step, std::int64_t cols, float* weights, const float* gradient, float* state,
               float mean_square) noexcept;

/// A flat array: elementwise, so any number of threads gives the same bits. state [dense_state_width].
void update_dense(const OptimizerStep& step, std::span<float> weights, std::span<const float> gradient,
                  std::span<float> state) noexcept;

}  // namespace swallowtail
