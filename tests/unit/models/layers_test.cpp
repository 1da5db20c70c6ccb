// The layers against LibTorch's own operations and autograd.
#include "trainer/models/layers.h"

#include <gtest/gtest.h>

namespace swallowtail {
namespace {

torch::Tensor reference_interaction(const std::vector<torch::Tensor>& vectors, bool itself, bool concatenate) {
  const torch::Tensor stacked = torch::stack(vectors, 1);                       // [B, F, D]
  const torch::Tensor products = torch::bmm(stacked, stacked.transpose(1, 2));  // [B, F, F]
  std::vector<torch::Tensor> columns;
  if (concatenate) columns.push_back(vectors[0]);
  const auto features = static_cast<std::int64_t>(vectors.size());
  for (std::int64_t i = 0; i < features; ++i)
    for (std::int64_t j = 0; j < i + (itself ? 1 : 0); ++j)
      columns.push_back(products.select(1, i).select(1, j).unsqueeze(1));
  return torch::cat(columns, 1);
}

TEST(DotInteraction, GradientsReachEveryVectorAsByAutograd) {
  torch::manual_seed(1);
  for (const bool itself : {false, true})
    for (const bool concatenate : {false, true}) {
      std::vector<torch::Tensor> ours, theirs;
      for (int f = 0; f < 5; ++f) {
        ours.push_back(torch::randn({7, 12}));
        theirs.push_back(ours.back().clone().set_requires_grad(true));
        ours.back().set_requires_grad(true);
      }
      const torch::Tensor a = dot_interaction(ours, itself, concatenate),
                          b = reference_interaction(theirs, itself, concatenate);
      EXPECT_TRUE(torch::allclose(a, b, 1e-5, 1e-6));
      const torch::Tensor weights = torch::randn(a.sizes());
      (a * weights).sum().backward();
      (b * weights).sum().backward();
      for (int f = 0; f < 5; ++f) {
        ASSERT_TRUE(ours[f].grad().defined()) << "vector " << f;
        EXPECT_TRUE(torch::allclose(ours[f].grad(), theirs[f].grad(), 1e-5, 1e-5)) << "vector " << f;
      }
    }
}

/// Inside a model the vectors are leaves whose gradient is a view of a buffer, filled before.
TEST(DotInteraction, GradientsLandInTheGivenBuffers) {
  torch::manual_seed(2);
  std::vector<torch::Tensor> vectors;
  std::vector<std::vector<float>> buffers(3, std::vector<float>(4 * 6, 0.0F));
  for (int f = 0; f < 3; ++f) {
    vectors.push_back(torch::randn({4, 6}).set_requires_grad(true));
    vectors.back().mutable_grad() = torch::from_blob(buffers[f].data(), {4, 6});
  }
  dot_interaction(vectors, false, true).sum().backward();
  const torch::Tensor sum = vectors[0].detach() + vectors[1].detach();
  EXPECT_TRUE(torch::allclose(torch::from_blob(buffers[2].data(), {4, 6}), sum, 1e-5, 1e-6));
}

/// SAP.md 1.4: W twice, which at full rank is U V with U the identity.
TEST(CrossNet, GoldenValues) {
  const torch::NoGradGuard no_grad;
  CrossNet net(3, 3, 2);
  const torch::Tensor w = torch::tensor({{0.1F, 0.2F, 0.0F}, {0.0F, 0.3F, 0.1F}, {-0.2F, 0.0F, 0.4F}});
  const torch::Tensor b = torch::tensor({0.1F, 0.0F, -0.1F}), x0 = torch::tensor({{1.0F, 2.0F, -1.0F}});
  EXPECT_TRUE(torch::equal(net->layers()[0]->bias, torch::zeros({3})));
  for (CrossLayer& layer : net->layers()) {
    layer->v->weight.copy_(w);
    layer->u->weight.copy_(torch::eye(3));
    layer->bias.copy_(b);
  }
  const torch::Tensor x1 = net->layers()[0]->forward(x0, x0);
  EXPECT_TRUE(torch::allclose(x1, torch::tensor({{1.6F, 3.0F, -0.3F}}), 1e-6, 1e-6)) << x1;
  const torch::Tensor x2 = net->forward(x0);
  EXPECT_TRUE(torch::allclose(x2, torch::tensor({{2.46F, 4.74F, 0.24F}}), 1e-6, 1e-6)) << x2;
  for (CrossLayer& layer : net->layers()) {
    layer->u->weight.zero_();
    layer->bias.zero_();
  }
  EXPECT_TRUE(torch::equal(net->forward(x0), x0));
}

/// The first values of U and V are xavier-normal: N(0, 2 / (width + rank)).
TEST(CrossNet, StartsXavierNormal) {
  CrossNet net(300, 40, 2);
  initialise_linear_layers(*net, 3);
  for (CrossLayer& layer : net->layers())
    for (const torch::Tensor& weight : {layer->v->weight, layer->u->weight}) {
      EXPECT_NEAR(weight.std().item<double>(), std::sqrt(2.0 / 340), 0.03 * std::sqrt(2.0 / 340));
      EXPECT_NEAR(weight.mean().item<double>(), 0, 4 * std::sqrt(2.0 / 340 / 12000));
    }
  EXPECT_FALSE(torch::equal(net->layers()[0]->v->weight, net->layers()[1]->v->weight));
}

TEST(Mlp, WithoutDropoutIsPlainLinearLayers) {
  torch::manual_seed(3);
  const std::vector<std::int64_t> widths{5, 2};
  Mlp mlp(3, widths, true, 0.5, 1);
  const torch::Tensor x = torch::randn({6, 3});
  const auto p = mlp->parameters();
  const torch::Tensor wanted =
      torch::relu(torch::matmul(torch::relu(torch::matmul(x, p[0].t()) + p[1]), p[2].t()) + p[3]);
  EXPECT_TRUE(torch::allclose(mlp->forward(x, ModelInput{}), wanted, 1e-5, 1e-6));
}

TEST(Initialisation, HasTheReferenceVariancesAndDependsOnTheSeed) {
  torch::nn::Sequential model(torch::nn::Linear(400, 300));
  initialise_linear_layers(*model, 7);
  const auto p = model->parameters();
  EXPECT_NEAR(p[0].var().item<double>(), 2.0 / 700, 1e-4);
  EXPECT_NEAR(p[1].var().item<double>(), 1.0 / 300, 1e-3);
  torch::nn::Sequential again(torch::nn::Linear(400, 300)), other(torch::nn::Linear(400, 300));
  initialise_linear_layers(*again, 7);
  initialise_linear_layers(*other, 8);
  EXPECT_TRUE(torch::equal(p[0], again->parameters()[0]));
  EXPECT_FALSE(torch::equal(p[0], other->parameters()[0]));
}

}  // namespace
}  // namespace swallowtail
