// The encoder of texts: against a padded convolution in fp64, and the laws that it promises.
#include "trainer/models/text_encoder.h"

#include <gtest/gtest.h>

#include <vector>

namespace swallowtail {
namespace {

using Rows = std::vector<std::int64_t>;

struct Texts {
  Rows values, offsets{0};
  void add(const Rows& text) {
    values.insert(values.end(), text.begin(), text.end());
    offsets.push_back(std::ssize(values));
  }
  TextsView view() const { return {values, offsets}; }
};

Texts texts_of(const std::vector<Rows>& all) {
  Texts texts;
  for (const Rows& text : all) texts.add(text);
  return texts;
}

TextEncoderOptions options() {
  return {.rows = 12, .dim = 7, .widths = {2, 3, 5}, .maps = 4, .outputs = 6, .dropout = 0.5};
}

TextEncoder encoder(const TextEncoderOptions& options, bool is_double = true) {
  TextEncoder made(options);
  made->initialise(3, "text");
  const torch::NoGradGuard no_grad;
  made->named_parameters()["biases"].uniform_(-0.1, 0.1);
  made->named_parameters()["empty"].uniform_(-1, 1);
  if (is_double) made->to(torch::kFloat64);
  return made;
}

/// The same by torch's own convolution over texts that are padded to `length` and 4 zeros more.
torch::Tensor reference(TextEncoder& encoder, const Rows& text, std::int64_t length) {
  if (text.empty()) return encoder->named_parameters()["empty"];
  Rows padded = text;
  padded.resize(static_cast<std::size_t>(length + 4), 0);
  const auto parameters = encoder->named_parameters();
  const torch::Tensor words =
      parameters["words"].index_select(0, torch::tensor(padded, torch::kInt64)).t().unsqueeze(0);  // [1, dim, L]
  std::vector<torch::Tensor> maxima;
  std::int64_t kind = 0;
  for (const std::int64_t width : options().widths) {
    const torch::Tensor filters =
        parameters["filters_" + std::to_string(kind++)].reshape({4, width, 7}).transpose(1, 2);  // [maps, dim, width]
    const torch::Tensor maps = torch::conv1d(words, filters).squeeze(0);  // [maps, L + 5 - width]
    maxima.push_back(std::get<0>(maps.slice(1, 0, std::ssize(text)).max(1)));
  }
  return torch::linear(torch::relu(torch::cat(maxima) + parameters["biases"]), parameters["out.weight"],
                       parameters["out.bias"]);
}

const std::vector<Rows> kTexts{{3, 4, 5, 6, 7, 8}, {}, {9}, {1, 2}, {11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}};

TEST(TextEncoder, IsAConvolutionOverPaddedTextsOfAnyLength) {
  auto text = encoder(options());
  const torch::Tensor out = text->forward(texts_of(kTexts).view(), true, nullptr);
  ASSERT_EQ(out.sizes(), (torch::IntArrayRef{5, 6}));
  for (const std::int64_t length : {11, 20, 64})
    for (std::size_t b = 0; b < kTexts.size(); ++b)
      EXPECT_LE((out[static_cast<std::int64_t>(b)] - reference(text, kTexts[b], length)).abs().max().item<double>(),
                1e-12);
}

TEST(TextEncoder, GradientsAreThoseOfTheConvolution) {
  auto text = encoder(options());
  const torch::Tensor weights = torch::rand({5, 6}, torch::kFloat64);
  (text->forward(texts_of(kTexts).view(), true, nullptr) * weights).sum().backward();
  std::vector<torch::Tensor> ours;
  for (auto& parameter : text->parameters()) {
    ours.push_back(parameter.grad().clone());
    parameter.mutable_grad().zero_();
  }
  torch::Tensor loss = torch::zeros({}, torch::kFloat64);
  for (std::size_t b = 0; b < kTexts.size(); ++b)
    loss = loss + (reference(text, kTexts[b], 16) * weights[static_cast<std::int64_t>(b)]).sum();
  loss.backward();
  std::size_t p = 0;
  for (const auto& parameter : text->named_parameters()) {
    torch::Tensor expected = parameter.value().grad();
    if (parameter.key() == "words") expected[0].zero_();  // the pad is no word and has no gradient
    EXPECT_LE((ours[p++] - expected).abs().max().item<double>(), 1e-12) << parameter.key();
  }
}

TEST(TextEncoder, NeighboursDoNotChangeAText) {
  auto text = encoder(options());
  const torch::Tensor together = text->forward(texts_of(kTexts).view(), true, nullptr);
  for (std::size_t b = 0; b < kTexts.size(); ++b) {
    const torch::Tensor alone = text->forward(texts_of({kTexts[b]}).view(), true, nullptr);
    EXPECT_LE((alone[0] - together[static_cast<std::int64_t>(b)]).abs().max().item<double>(), 1e-14);
  }
  // A part of more texts, as a chunk of a batch is.
  const Texts all = texts_of(kTexts);
  const torch::Tensor part = text->forward({all.values, std::span(all.offsets).subspan(2, 3)}, true, nullptr);
  EXPECT_LE((part - together.slice(0, 2, 4)).abs().max().item<double>(), 1e-14);
}

TEST(TextEncoder, OrderOfWordsMattersAndNothingIsNoNan) {
  auto text = encoder(options());
  const torch::Tensor out = text->forward(texts_of({{3, 4, 5, 6}, {6, 5, 4, 3}}).view(), true, nullptr);
  EXPECT_GT((out[0] - out[1]).abs().max().item<double>(), 1e-3);
  const torch::Tensor empty = text->forward(texts_of({{}, {}}).view(), true, nullptr);
  EXPECT_TRUE(empty.equal(text->named_parameters()["empty"].unsqueeze(0).expand({2, 6})));
  empty.sum().backward();
  for (const auto& parameter : text->named_parameters())
    EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
}

TEST(TextEncoder, WordsThatStartElsewhereMoveByTheirUnit) {
  auto shifted_options = options();
  shifted_options.shift_unit = 0.1;
  auto shifted = encoder(shifted_options, false), plain = encoder(options(), false);
  const torch::NoGradGuard no_grad;
  auto from = plain->named_parameters(), to = shifted->named_parameters();
  for (const auto& parameter : from)
    if (parameter.key() != "words") to[parameter.key()].copy_(parameter.value());
  const torch::Tensor half = (from["words"] / 2).contiguous();
  shifted->start_words({half.data_ptr<float>(), static_cast<std::size_t>(half.numel())});
  to["words"].copy_(half * 10);
  const Texts texts = texts_of(kTexts);
  EXPECT_TRUE(torch::allclose(shifted->forward(texts.view(), true, nullptr),
                              plain->forward(texts.view(), true, nullptr), 1e-5, 1e-6));
  EXPECT_NEAR(shifted->moved_squares().item<double>(), half.square().sum().item<double>(), 1e-5);
}

TEST(TextEncoder, FrozenWordsHaveNoGradientAndDropoutBelongsToThePlace) {
  auto text = encoder(options(), false);
  const Texts texts = texts_of(kTexts);
  text->forward(texts.view(), false, nullptr).sum().backward();
  EXPECT_FALSE(text->named_parameters()["words"].grad().defined());
  const TextDropout whole{{1, 2, 3}, 10}, second{{1, 2, 3}, 12};
  const torch::Tensor all = text->forward(texts.view(), true, &whole);
  const torch::Tensor part = text->forward({texts.values, std::span(texts.offsets).subspan(2)}, true, &second);
  EXPECT_TRUE(torch::allclose(all.slice(0, 2), part, 1e-6, 1e-7));
  EXPECT_FALSE(torch::allclose(all, text->forward(texts.view(), true, nullptr)));
}

}  // namespace
}  // namespace swallowtail
