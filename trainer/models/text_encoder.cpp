#include "trainer/models/text_encoder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "kernels/random.h"

namespace swallowtail {
namespace {

constexpr double kWordDeviation = 0.1;

void fill_normal(const torch::Tensor& tensor, double deviation, std::uint64_t seed, const std::string& name) {
  auto* const values = tensor.data_ptr<float>();
  const std::uint64_t purpose = random::purpose("text encoder") ^ random::purpose(name);
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    values[i] =
        static_cast<float>(deviation * random::normal(random::bits(seed, purpose, static_cast<std::uint64_t>(i))));
}

}  // namespace

TextEncoderImpl::TextEncoderImpl(const TextEncoderOptions& options) : options_(options) {
  const auto kinds = static_cast<std::int64_t>(options.widths.size());
  words_ = register_parameter("words", torch::zeros({options.rows, options.dim}));
  if (options.shift_unit) start_ = register_buffer("start", torch::zeros({options.rows, options.dim}));
  for (const std::int64_t width : options.widths)
    filters_.push_back(register_parameter("filters_" + std::to_string(filters_.size()),
                                          torch::zeros({options.maps, width * options.dim})));
  biases_ = register_parameter("biases", torch::zeros({kinds * options.maps}));
  empty_ = register_parameter("empty", torch::zeros({options.outputs}));
  out_ = register_module("out", torch::nn::Linear(kinds * options.maps, options.outputs));
}

void TextEncoderImpl::initialise(std::uint64_t seed, const std::string& name) {
  const torch::NoGradGuard no_grad;
  if (!options_.shift_unit) {
    fill_normal(words_, kWordDeviation, seed, name + ".words");
    words_[0].zero_();
  }
  for (std::size_t k = 0; k < filters_.size(); ++k)
    fill_normal(filters_[k], std::sqrt(2.0 / static_cast<double>(filters_[k].size(1))), seed,
                name + ".filters_" + std::to_string(k));
  const auto in = static_cast<double>(out_->weight.size(1)), out = static_cast<double>(out_->weight.size(0));
  fill_normal(out_->weight, std::sqrt(2.0 / (in + out)), seed, name + ".out");
  out_->bias.zero_();
}

void TextEncoderImpl::start_words(std::span<const float> vectors) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor& words = options_.shift_unit ? start_ : words_;
  std::copy(vectors.begin(), vectors.end(), words.data_ptr<float>());
  words[0].zero_();
}

torch::Tensor TextEncoderImpl::forward(const TextsView& texts, bool words_move, const TextDropout* dropout) {
  const auto size = std::ssize(texts.offsets) - 1;
  const std::int64_t base = texts.offsets.front(), words = texts.offsets.back() - base;
  const std::int64_t reach = std::ranges::max(options_.widths), dim = options_.dim;
  std::int64_t longest = 1;
  for (std::int64_t b = 0; b < size; ++b) longest = std::max(longest, texts.offsets[b + 1] - texts.offsets[b]);
  // Row n: the word at place n and those behind it, pads beyond the end of its text.
  const torch::Tensor windows = torch::zeros({words, reach}, torch::kInt64);
  // Row b: the places of text b, then `words`, which is the row of -infinity below.
  const torch::Tensor places = torch::full({size, longest}, words, torch::kInt64);
  const torch::Tensor is_empty = torch::zeros({size, 1}, torch::kBool);
  auto* const window = windows.data_ptr<std::int64_t>();
  auto* const place = places.data_ptr<std::int64_t>();
  for (std::int64_t b = 0; b < size; ++b) {
    const std::int64_t begin = texts.offsets[b] - base, end = texts.offsets[b + 1] - base;
    is_empty.data_ptr<bool>()[b] = begin == end;
    for (std::int64_t n = begin; n < end; ++n) {
      place[b * longest + n - begin] = n;
      std::copy_n(texts.values.begin() + base + n, std::min(reach, end - n), window + n * reach);
    }
  }
  torch::Tensor vectors;
  constexpr std::int64_t kPad = 0;  // its row has no gradient, and stays zero
  const torch::Tensor trained = words_move ? words_ : words_.detach();
  if (options_.shift_unit)
    vectors = torch::embedding(start_, windows, kPad) + *options_.shift_unit * torch::embedding(trained, windows, kPad);
  else
    vectors = torch::embedding(trained, windows, kPad);
  vectors = vectors.reshape({words, reach * dim});
  std::vector<torch::Tensor> maps;
  for (std::size_t k = 0; k < filters_.size(); ++k)
    maps.push_back(torch::matmul(vectors.slice(1, 0, options_.widths[k] * dim), filters_[k].t()));
  const torch::Tensor all = torch::cat(maps, 1);  // [N, features]
  const torch::Tensor lowest =
      torch::full({1, all.size(1)}, -std::numeric_limits<float>::infinity(), all.options().requires_grad(false));
  torch::Tensor features =
      torch::cat({all, lowest}).index_select(0, places.reshape({-1})).reshape({size, longest, all.size(1)}).amax(1);
  features = torch::where(is_empty, torch::zeros({1}, features.options()), features);
  features = torch::relu(features + biases_);
  if (dropout != nullptr && options_.dropout > 0) {
    const torch::Tensor mask = torch::empty(features.sizes(), torch::kFloat32);
    dropout_mask(dropout->key, options_.dropout, dropout->first, size, features.size(1), mask.data_ptr<float>());
    features = features * mask;
  }
  return torch::where(is_empty, empty_.unsqueeze(0), out_(features));
}

torch::Tensor TextEncoderImpl::moved_squares() const {
  return (options_.shift_unit.value_or(1) * words_).square().sum();
}

}  // namespace swallowtail
