// Parts of ranking networks that save work, beside the plain ones that torch differentiates.
#include <gtest/gtest.h>

#include "trainer/rankers/neural_mf.h"
#include "trainer/rankers/softmax_loss.h"

namespace swallowtail {
namespace {

torch::Tensor drawn(std::initializer_list<std::int64_t> shape, std::string_view name, torch::Dtype type) {
  torch::Tensor values = torch::empty(shape);
  init_normal(values, 1, 7, name);
  return values.to(type).set_requires_grad(true);
}

double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a - b).to(torch::kFloat64).norm() / (b.to(torch::kFloat64).norm() + 1e-30)).item<double>();
}

TEST(SoftmaxLoss, IsTheCrossEntropyAndSoAreItsGradients) {
  // 700 rows are several blocks; 9,000 classes leave few rows to a block.
  for (const auto& [n, classes] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {700, 301}, {37, 9000}})
    for (const bool has_bias : {false, true})
      for (const torch::Dtype type : {torch::kFloat64, torch::kFloat32}) {
        const torch::Tensor hidden = drawn({n, 8}, "hidden", type), table = drawn({classes + 1, 8}, "table", type);
        const torch::Tensor bias = has_bias ? drawn({classes}, "bias", type) : torch::Tensor();
        const torch::Tensor targets = torch::arange(n).remainder(classes);
        std::vector<torch::Tensor> inputs{hidden, table};
        if (has_bias) inputs.push_back(bias);
        const torch::Tensor used = table.slice(0, 0, classes);
        const torch::Tensor fused =
            softmax_loss(hidden, used, has_bias ? std::optional(bias) : std::nullopt, targets) * 0.25;
        torch::Tensor logits = torch::matmul(hidden, used.t());
        if (has_bias) logits = logits + bias;
        const torch::Tensor plain =
            torch::nn::functional::cross_entropy(
                logits, targets, torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum)) *
            0.25;
        const double limit = type == torch::kFloat64 ? 1e-12 : 1e-5;
        EXPECT_LT(distance(fused, plain), limit) << n << ' ' << classes;
        const auto gradients = torch::autograd::grad({fused}, inputs), wanted = torch::autograd::grad({plain}, inputs);
        for (std::size_t i = 0; i < inputs.size(); ++i)
          EXPECT_LT(distance(gradients[i], wanted[i]), limit) << n << ' ' << classes << " input " << i;
      }
}

TEST(PairFactors, AreProductsAndATowerOverBothVectors) {
  torch::nn::Module module;
  PairFactors factors = make_pair_factors(module, 5, 9, 4, {8, 6}, true, true);
  init_xavier(module, 3);
  for (auto& parameter : module.parameters()) parameter.set_data(parameter.to(torch::kFloat64));
  const torch::Tensor users = torch::tensor({{1}, {4}, {0}}), items = torch::tensor({{2, 8}, {0, 0}, {5, 2}});
  const torch::Tensor weights = drawn({2, factors.width()}, "weights", torch::kFloat64);
  const std::vector<std::int64_t> samples{0, 1, 2};
  const NetworkBatch batch{samples, 0, 1, 0, 0, 1};
  const torch::Tensor heads = factors.heads(factors.rows(users, items), weights, 0, batch, 0);

  const torch::Tensor both = users.expand({3, 2}), pu = torch::embedding(factors.product_user, both);
  torch::Tensor x =
      torch::cat({torch::embedding(factors.tower_user, both), torch::embedding(factors.tower_item, items)}, 2);
  for (const char* layer : {"0", "1"}) {
    const auto linear = std::dynamic_pointer_cast<torch::nn::LinearImpl>(factors.tower->named_children()[layer]);
    x = torch::relu(torch::matmul(x, linear->weight.t()) + linear->bias);
  }
  const torch::Tensor made = torch::cat({pu * torch::embedding(factors.product_item, items), x}, 2);
  const torch::Tensor wanted = torch::matmul(made, weights.t());
  EXPECT_EQ(heads.sizes(), (std::vector<std::int64_t>{3, 2, 2}));
  EXPECT_LT(distance(heads, wanted), 1e-12);

  auto inputs = module.parameters();
  inputs.push_back(weights);
  const auto gradients = torch::autograd::grad({heads.square().sum()}, inputs);
  const auto wanted_gradients = torch::autograd::grad({wanted.square().sum()}, inputs);
  for (std::size_t i = 0; i < inputs.size(); ++i) EXPECT_LT(distance(gradients[i], wanted_gradients[i]), 1e-12) << i;

  const torch::NoGradGuard no_grad;
  const torch::Tensor all = factors.score_all(torch::tensor({1, 4, 0}), weights[1]);
  for (std::int64_t b = 0; b < 3; ++b)
    for (std::int64_t k = 0; k < 2; ++k)
      EXPECT_NEAR(all[b][items[b][k].item<std::int64_t>()].item<double>(), wanted[b][k][1].item<double>(), 1e-12);
}

TEST(SquareSum, AndItsGradient) {
  const torch::Tensor x = drawn({3, 2}, "x", torch::kFloat64);
  const torch::Tensor sum = square_sum(x);
  EXPECT_NEAR(sum.item<double>(), x.square().sum().item<double>(), 1e-12);
  EXPECT_LT(distance(torch::autograd::grad({sum * 3}, {x})[0], 6 * x), 1e-15);
}

}  // namespace
}  // namespace swallowtail
