// DLRM's pass by hand against the same model under autograd, over shapes, options and divisions of the batch.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/random.h"
#include "trainer/models/model.h"

namespace swallowtail {
namespace {

struct Case {
  std::string model;
  std::int64_t dense, tables, samples, dim;
};

std::vector<float> numbers(std::int64_t count, std::uint64_t purpose) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    values[static_cast<std::size_t>(i)] =
        static_cast<float>(random::normal(random::bits(11, purpose, static_cast<std::uint64_t>(i))));
  return values;
}

class DlrmPassTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& of = GetParam();
    experiment_ = Experiment::parse(
        fmt::format("data: {{source: synthetic, samples: 64, dense_features: {}, tables: [{{rows: 9, dim: {}}}]}}\n"
                    "model: {{embedding_dim: {}, bottom_mlp: [24, 9], top_mlp: [33, 17], {}}}\n",
                    of.dense, of.dim, of.dim, of.model),
        {}, "pass");
    for (std::int64_t d = 0; d < of.dense; ++d) shape_.dense.push_back("d" + std::to_string(d));
    for (std::int64_t t = 0; t < of.tables; ++t)
      shape_.categorical.push_back({.name = "t" + std::to_string(t), .rows = 9});
    shape_.labels = {"label"};
    const ModelEntry& entry = find_model(*experiment_);
    tables_ = entry.embedding_tables(*experiment_, shape_);
    model_ = entry.make(*experiment_, shape_, tables_);
    for (const auto& parameter : model_->named_parameters())  // they start at zero
      if (parameter.key().starts_with("cross") && parameter.key().ends_with("bias")) {
        const torch::NoGradGuard no_grad;
        auto values = numbers(parameter.value().numel(), 2000);
        parameter.value().copy_(torch::from_blob(values.data(), {parameter.value().numel()}));
      }
    dense_ = numbers(of.samples * of.dense, 1);
    logit_gradients_ = numbers(of.samples, 2);
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      pooled_.push_back(numbers(of.samples * tables_[t].dim, 3 + t));
      gradients_.emplace_back(pooled_.back().size(), std::nanf(""));  // it must be overwritten
    }
  }

  struct Result {
    std::vector<float> logits;
    std::vector<std::vector<float>> pooled;
    std::vector<torch::Tensor> parameters;
  };

  Result by_hand(const std::vector<std::int64_t>& cuts, bool fixed_order, bool early_bottom = true,
                 bool fresh = false) {
    model_->zero_grad();
    const auto pass = model_->dense_pass();
    EXPECT_TRUE(pass);
    Result result;
    result.logits.resize(logit_gradients_.size());
    std::vector<const float*> pooled;
    std::vector<float*> gradients;
    for (std::size_t t = 0; t < pooled_.size(); ++t) {
      pooled.push_back(pooled_[t].data());
      gradients.push_back(gradients_[t].data());
    }
    if (fresh)  // what stands in the gradients must not matter
      for (const torch::Tensor& parameter : model_->parameters())
        parameter.mutable_grad() = torch::full_like(parameter, 3.5);
    pass->begin({GetParam().samples, dense_.data(), 5, 7, 100, fixed_order, fresh});
    std::vector<std::atomic<int>> seen(logit_gradients_.size());
    const StepHooks hooks{.loss =
                              [&](std::int64_t begin, std::int64_t end, const float*, float* to) {
                                for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
                                std::copy(logit_gradients_.begin() + begin, logit_gradients_.begin() + end, to);
                                return static_cast<double>(end - begin);
                              },
                          .progress = {}};
    for (std::size_t i = 0; i + 1 < cuts.size() && early_bottom; ++i) pass->bottom(cuts[i], cuts[i + 1]);
    double loss = 0;
    for (std::size_t i = 0; i + 1 < cuts.size(); ++i)
      loss += pass->train(cuts[i], cuts[i + 1], pooled, gradients, result.logits.data() + cuts[i], hooks);
    EXPECT_EQ(loss, static_cast<double>(GetParam().samples));
    for (const auto& times : seen) EXPECT_EQ(times, 1);
    result.pooled = gradients_;
    for (const torch::Tensor& parameter : model_->parameters()) result.parameters.push_back(parameter.grad().clone());
    return result;
  }

  Result by_autograd() {
    model_->zero_grad();
    const std::int64_t samples = GetParam().samples;
    ModelInput input;
    input.dense = torch::from_blob(dense_.data(), {samples, GetParam().dense});
    input.training = true;
    input.seed = 5;
    input.step = 7;
    input.first_sample = 100;
    for (std::size_t t = 0; t < pooled_.size(); ++t)
      input.pooled.push_back(
          torch::from_blob(pooled_[t].data(), {samples, tables_[t].dim}).clone().set_requires_grad(true));
    const torch::Tensor output = model_->forward(input);
    output.backward(torch::from_blob(logit_gradients_.data(), {samples, 1}));
    Result result;
    const torch::Tensor flat = output.detach().contiguous();
    result.logits.assign(flat.data_ptr<float>(), flat.data_ptr<float>() + samples);
    for (const torch::Tensor& vector : input.pooled) {
      const torch::Tensor gradient = vector.grad().contiguous();
      result.pooled.emplace_back(gradient.data_ptr<float>(), gradient.data_ptr<float>() + gradient.numel());
    }
    for (const torch::Tensor& parameter : model_->parameters()) result.parameters.push_back(parameter.grad().clone());
    return result;
  }

  static void expect_near(const std::vector<float>& a, const std::vector<float>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-5 * (1 + std::abs(b[i]))) << i;
  }
  static void expect_near(const Result& a, const Result& b) {
    expect_near(a.logits, b.logits);
    for (std::size_t t = 0; t < a.pooled.size(); ++t) expect_near(a.pooled[t], b.pooled[t]);
    for (std::size_t p = 0; p < a.parameters.size(); ++p)
      EXPECT_TRUE(torch::allclose(a.parameters[p], b.parameters[p], 1e-4, 1e-4)) << "parameter " << p;
  }

  std::optional<Experiment> experiment_;
  DataShape shape_;
  std::vector<EmbeddingTable> tables_;
  std::shared_ptr<Model> model_;
  std::vector<float> dense_, logit_gradients_;
  std::vector<std::vector<float>> pooled_, gradients_;
};

TEST_P(DlrmPassTest, HasTheNumbersOfAutograd) {
  const Result expected = by_autograd();
  const std::int64_t samples = GetParam().samples;
  expect_near(by_hand({0, samples}, true), expected);
  expect_near(by_hand({0, samples / 3, samples}, true), expected);
}

TEST_P(DlrmPassTest, SharesRowsAmongThreads) {
  const Result expected = by_autograd();
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 3, 5}) {
    omp_set_num_threads(threads);
    expect_near(by_hand({0, GetParam().samples}, false), expected);
    expect_near(by_hand({0, GetParam().samples}, false, /*early_bottom=*/false, /*fresh=*/true), expected);
    expect_near(by_hand({0, GetParam().samples / 2, GetParam().samples}, false, false, true), expected);
  }
  omp_set_num_threads(before);
}

TEST_P(DlrmPassTest, GivesTheSameBitsTwice) {
  const std::int64_t samples = GetParam().samples;
  const Result once = by_hand({0, samples}, true), again = by_hand({0, samples}, true);
  EXPECT_EQ(once.logits, again.logits);
  EXPECT_EQ(once.pooled, again.pooled);
}

const auto name_of_case = [](const ::testing::TestParamInfo<Case>& of) { return "case" + std::to_string(of.index); };

INSTANTIATE_TEST_SUITE_P(Shapes, DlrmPassTest,
                         ::testing::Values(Case{"dropout: 0", 13, 5, 200, 16}, Case{"dropout: 0.3", 13, 5, 170, 10},
                                           Case{"interaction_itself: true", 4, 3, 33, 8},
                                           Case{"interaction: cat", 7, 2, 129, 12}, Case{"linear: true", 3, 4, 70, 16},
                                           Case{"linear: true", 0, 4, 64, 5}, Case{"dropout: 0.5", 0, 3, 40, 16},
                                           Case{"dropout: 0", 1, 1, 1, 1}, Case{"dropout: 0", 80, 2, 300, 64},
                                           Case{"dropout: 0", 67, 9, 700, 10}),
                         name_of_case);

/// Cross networks: rank 1, full and by default, one sample, columns that are no whole number of vectors, no dense
/// features, one vector alone; then shapes that are drawn.
std::vector<Case> cross_cases() {
  std::vector<Case> cases{{"interaction: cross, cross_layers: 1, cross_rank: 1", 13, 5, 200, 16},
                          {"interaction: cross, cross_layers: 3, cross_rank: 96", 13, 5, 131, 16},
                          {"interaction: cross, dropout: 0.3, linear: true", 4, 3, 129, 10},
                          {"interaction: cross, cross_layers: 2, cross_rank: 5", 0, 3, 1, 7},
                          {"interaction: cross, linear: true", 0, 1, 40, 16},
                          {"interaction: cross, cross_layers: 4, cross_rank: 70", 67, 9, 700, 10}};
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    const auto below = [&](std::uint64_t purpose, std::int64_t n) {
      return random::below(random::bits(seed, purpose), n);
    };
    const std::int64_t dense = below(1, 3) == 0 ? 0 : 1 + below(2, 20), tables = 1 + below(3, 6);
    const std::int64_t dim = 1 + below(4, 24), width = (tables + (dense > 0 ? 1 : 0)) * dim;
    cases.push_back({fmt::format("interaction: cross, cross_layers: {}, cross_rank: {}, linear: {}", 1 + below(5, 4),
                                 1 + below(6, width), below(7, 2) == 0),
                     dense, tables, 1 + below(8, 300), dim});
  }
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Cross, DlrmPassTest, ::testing::ValuesIn(cross_cases()), name_of_case);

}  // namespace
}  // namespace swallowtail
