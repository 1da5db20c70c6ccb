// From words to one vector a text: word vectors, convolutions over neighbouring words, the maximum over the windows
// that begin within the text, ReLU, dropout, a linear layer. Source: Kim, EMNLP 2014. Texts come jagged, without
// padding, and a window reaches beyond its text into zeros, so neither neighbours nor a padded length change a text's
// vector. An empty text has a vector of its own, which is learned.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/dropout.h"

namespace swallowtail {

struct TextEncoderOptions {
  std::int64_t rows = 0;  // of the word table; row 0 is the pad
  std::int64_t dim = 100;
  std::vector<std::int64_t> widths{3, 4, 5};
  std::int64_t maps = 64;  // of each width
  std::int64_t outputs = 64;
  double dropout = 0.5;
  /// Words start elsewhere (start_words) and only their shift is trained, counted in units of this; nothing: they are
  /// parameters like all others.
  std::optional<double> shift_unit{};
};

/// Rows of words, text after text: text b is values[offsets[b]] … values[offsets[b + 1] - 1]. Borrowed.
struct TextsView {
  std::span<const std::int64_t> values, offsets;  // [B + 1], not from 0 where it is a part of more texts
};

/// Where dropout draws from: sample b of a call is sample first + b.
struct TextDropout {
  DropoutKey key;
  std::int64_t first = 0;
};

class TextEncoderImpl : public torch::nn::Module {
 public:
  explicit TextEncoderImpl(const TextEncoderOptions& options);
  /// First weights from counters keyed by (seed, `name` and the parameter's). Words without a start of their own are
  /// N(0, 0.1^2).
  void initialise(std::uint64_t seed, const std::string& name);
  /// vectors [rows, dim]: where the words start.
  void start_words(std::span<const float> vectors);

  /// [B, outputs]. `words_move`: their gradient is wanted. `dropout`: null but in training.
  torch::Tensor forward(const TextsView& texts, bool words_move, const TextDropout* dropout);
  /// Sum of the squares of what the words have moved from where they started.
  torch::Tensor moved_squares() const;
  const torch::Tensor& start() const noexcept { return start_; }  // undefined without shift_unit
  std::int64_t rows() const noexcept { return options_.rows; }
  std::int64_t dim() const noexcept { return options_.dim; }
  std::int64_t outputs() const noexcept { return options_.outputs; }

 private:
  TextEncoderOptions options_;
  torch::Tensor words_, start_;         // [rows, dim]; the shift, where words start elsewhere
  std::vector<torch::Tensor> filters_;  // of each width: [maps, width * dim]
  torch::Tensor biases_, empty_;        // [widths * maps], [outputs]
  torch::nn::Linear out_{nullptr};
};
TORCH_MODULE(TextEncoder);

}  // namespace swallowtail
