// Ranking networks that torch differentiates: the checks of SAP.md 3.4 and the rules for every model.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "parallel/local_communicator.h"
#include "tests/unit/ranking/interactions_fixture.h"
#include "trainer/rankers/mult_vae.h"
#include "trainer/rankers/network.h"
#include "trainer/rankers/sequences.h"
#include "trainer/training/torch_ranker.h"

namespace swallowtail {
namespace {

using test::interactions;
using Items = std::vector<std::int64_t>;

Interactions walks() {
  std::vector<Items> histories;
  for (std::int64_t user = 0; user < 12; ++user) {
    Items& history = histories.emplace_back();
    for (std::int64_t i = 0; i < 2 * user; ++i) history.push_back((user + 3 * i) % 13);
  }
  return interactions(histories, 13);
}

Experiment experiment(const std::string& model) {
  return Experiment::parse("data: {source: interactions, train: none}\n" + model);
}

const std::string kSasRec =
    "model: {type: sasrec, embedding_dim: 8, sequence_length: 6, layers: 2, heads: 2, dropout: 0.3}\n";
const std::string kGru = "model: {type: gru4rec, embedding_dim: 8, sequence_length: 6, layers: 1, hidden_dim: 8}\n";
const std::string kLstm =
    "model: {type: gru4rec, cell: lstm, embedding_dim: 8, sequence_length: 6, layers: 2, hidden_dim: 8}\n";

struct Case {
  std::string yaml;
  MakeNetwork make;
};
const Case kSequenceModels[]{{kSasRec, make_sasrec}, {kGru, make_gru4rec}, {kLstm, make_gru4rec}};

torch::Tensor scores_of(RankingNetwork& network, const std::vector<Items>& histories) {
  const torch::NoGradGuard no_grad;
  network.eval();
  std::vector<RankingQuery> queries;
  for (const Items& history : histories) queries.push_back({kColdId, history});
  return network.scores(queries);
}

TEST(Sequences, EveryInteractionButTheFirstIsATargetOnceAnEpoch) {
  const Interactions data = walks();
  for (const std::int64_t length : {1, 3, 6, 100})
    for (const Align align : {Align::end, Align::beginning}) {
      const Sequences sequences(data.train, length, 13, align, 7);
      Items all(static_cast<std::size_t>(sequences.windows()));
      std::iota(all.begin(), all.end(), 0);
      std::int64_t expected = 0;
      for (std::int64_t user = 0; user < data.users.size(); ++user)
        expected += std::max<std::int64_t>(0, data.train.count(user) - 1);
      for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
        const Windows windows = sequences.read(all, epoch);
        EXPECT_EQ((windows.targets >= 0).sum().item<std::int64_t>(), expected) << length;
        std::int64_t counted = 0;
        for (const std::int64_t window : all) counted += sequences.targets(window, epoch);
        EXPECT_EQ(counted, expected);
        // Input and target are neighbours of some history: here every step adds 3.
        const torch::Tensor real = windows.targets >= 0;
        EXPECT_TRUE(torch::equal((windows.inputs.masked_select(real) + 3) % 13, windows.targets.masked_select(real)));
      }
    }
}

TEST(SequenceModels, TheFutureDoesNotReachThePast) {
  // The loss of a window's first targets does not change with its last item.
  for (auto [yaml, make] : kSequenceModels) {
    if (const auto dropout = yaml.find("dropout: 0.3"); dropout != std::string::npos) yaml.erase(dropout + 10, 2);
    const auto from = experiment(yaml);
    const auto rank = make_single_rank();
    const Interactions a = interactions({{1, 2, 3, 4, 5, 6}}, 13), b = interactions({{1, 2, 3, 4, 5, 9}}, 13);
    const auto one = make({from, a, *rank});
    const auto before = scores_of(*one, {{1, 2, 3}}), after = scores_of(*one, {{1, 2, 3}});
    EXPECT_TRUE(torch::equal(before, after));
    // Five targets, of which the last differs: the losses differ by that target alone.
    const torch::NoGradGuard no_grad;
    const auto other = make({from, b, *rank});
    const auto last = torch::log_softmax(scores_of(*one, {{1, 2, 3, 4, 5}}), 1);
    const Items samples{0};
    NetworkBatch batch{samples, 0, 1, 0, 0, 1};
    one->eval();
    EXPECT_NEAR((one->loss_sum(batch) - other->loss_sum(batch)).item<double>(),
                (last[0][9] - last[0][6]).item<double>(), 1e-5)
        << yaml;
  }
}

TEST(SequenceModels, HistoriesOfAnyLengthAreReadFromTheirEnd) {
  for (const auto& [yaml, make] : kSequenceModels) {
    const auto from = experiment(yaml);
    const auto rank = make_single_rank();
    const Interactions data = walks();
    const auto network = make({from, data, *rank});
    const Items six{5, 8, 11, 1, 4, 7};
    Items long_one{9, 9, 9, 9};
    long_one.insert(long_one.end(), six.begin(), six.end());
    const auto scores = scores_of(*network, {six, long_one, {}, {3}, six});
    EXPECT_TRUE(torch::allclose(scores[0], scores[1], 0, 1e-6)) << yaml;
    EXPECT_TRUE(torch::allclose(scores[0], scores[4], 0, 1e-6)) << yaml;  // BLAS may round rows differently
    EXPECT_TRUE(torch::isfinite(scores).all().item<bool>()) << yaml;      // also of no item at all
    // Neighbours in the batch, with other lengths, change nothing.
    EXPECT_TRUE(torch::allclose(scores_of(*network, {{3}})[0], scores[3], 0, 1e-6)) << yaml;
    EXPECT_FALSE(network->knows({0, {}}));
  }
}

TEST(SequenceModels, LearnASequenceByHeart) {
  for (const auto& [yaml, make] : kSequenceModels) {
    const auto from = experiment(yaml + "train: {optimizer: adam, learning_rate: 0.02, chunk: 32}\n");
    const auto rank = make_single_rank();
    const Interactions data = walks();
    const auto model = make_torch_ranker({from, data, *rank}, make);
    double loss = 0;
    for (std::int64_t step = 1; step <= 300; ++step)
      loss = model->train_step({.step = step, .epoch = step - 1, .first = 0, .size = model->epoch_samples()});
    EXPECT_LT(loss, yaml == kSasRec ? 0.5 : 0.05) << yaml;  // the dropout of sasrec stays on
    model->prepare_scores();
    std::vector<float> scores(13);
    const Items history{2, 5, 8};
    const RankingQuery query{kColdId, history};
    model->score(std::span(&query, 1), scores);
    EXPECT_EQ(std::ranges::max_element(scores) - scores.begin(), 11) << yaml;
  }
}

TEST(MultVae, DivergenceByHand) {
  const auto kl = gaussian_kl(torch::tensor({{0.5, -1.0}}, torch::kFloat64),
                              torch::tensor({{0.0, std::log(4.0)}}, torch::kFloat64));
  EXPECT_NEAR(kl[0].item<double>(), 1.4318528, 5e-8);
}

const std::string kVae = "model: {type: mult_vae, hidden_dim: 12, latent_dim: 4, dropout: 0.5}\n";
const std::string kDae = "model: {type: mult_dae, latent_dim: 6, dropout: 0.5}\n";
const std::string kNeuMf =
    "model: {type: neumf, embedding_dim: 4, tower: [8, 4]}\ntrain: {negatives_per_positive: 2}\n";
const std::string kEinmf =
    "model: {type: einmf, embedding_dim: 4, tower: [8, 4]}\nembedding: {weight_decay: 0.01}\n"
    "train: {negatives_per_positive: 2}\n";
const std::string kYouTube = "model: {type: youtube, embedding_dim: 4, tower: [8, 6], sequence_length: 5}\n";
const Case kOtherModels[]{{kVae, make_mult_vae},     {kDae, make_mult_dae}, {kNeuMf, make_gmf},
                          {kNeuMf, make_mlp_ranker}, {kNeuMf, make_neumf},  {kEinmf, make_einmf}};

TEST(RankingNetworks, ScoresAreFiniteForAnyUserAndDependOnTheUserAlone) {
  for (const auto& [yaml, make] : kOtherModels) {
    const auto from = experiment(yaml);
    const auto rank = make_single_rank();
    const Interactions data = walks();
    const auto network = make({from, data, *rank});
    const torch::NoGradGuard no_grad;
    network->eval();
    std::vector<RankingQuery> queries{
        {kColdId, {}}, {3, data.train.of(3)}, {9, data.train.of(9)}, {3, data.train.of(3)}};
    const torch::Tensor scores = network->scores(queries);
    EXPECT_EQ(scores.sizes(), (std::vector<std::int64_t>{4, 13})) << yaml;
    EXPECT_TRUE(torch::isfinite(scores).all().item<bool>()) << yaml;
    EXPECT_TRUE(torch::allclose(scores[1], scores[3], 0, 1e-6)) << yaml;
    EXPECT_FALSE(torch::allclose(scores[1], scores[2], 0, 1e-6)) << yaml;
    EXPECT_FALSE(network->knows({kColdId, {}}));
  }
}

TEST(Einmf, WithoutRatingsTheExplicitBranchFallsAway) {
  const auto from = experiment(kEinmf);
  const auto rank = make_single_rank();
  Interactions data = walks();
  const auto without = make_einmf({from, data, *rank});
  for (std::size_t i = 0; i < data.train.ratings.size(); ++i) data.train.ratings[i] = static_cast<float>(1 + i % 5);
  const auto with = make_einmf({from, data, *rank});
  const auto parameters = [](const RankingNetwork& network) {
    std::set<std::string> names;
    for (const auto& item : network.named_parameters()) names.insert(item.key());
    return names;
  };
  EXPECT_FALSE(parameters(*without).contains("user_bias"));
  EXPECT_TRUE(parameters(*with).contains("user_bias"));
  EXPECT_TRUE(parameters(*with).contains("explicit.product_user"));
}

TEST(RankingNetworks, GradientsAreThoseOfFiniteDifferences) {
  std::vector<Case> cases(std::begin(kSequenceModels), std::end(kSequenceModels));
  cases.insert(cases.end(), std::begin(kOtherModels), std::end(kOtherModels));
  for (const auto& [yaml, make] : cases) {
    const auto from = experiment(yaml);
    const auto rank = make_single_rank();
    Interactions data = walks();
    for (std::size_t i = 0; i < data.train.ratings.size(); ++i) data.train.ratings[i] = static_cast<float>(1 + i % 5);
    const auto network = make({from, data, *rank});
    for (auto& parameter : network->parameters()) parameter.set_data(parameter.to(torch::kFloat64));
    Items samples(static_cast<std::size_t>(network->epoch_samples()));
    std::iota(samples.begin(), samples.end(), 0);
    const NetworkBatch batch{samples, 0, 1, 0, 0.9, 1};  // the same counters: the same dropout
    const auto loss = [&] { return network->loss_sum(batch); };
    network->zero_grad();
    loss().backward();
    std::int64_t checked = 0;
    for (auto& [name, parameter] : network->named_parameters().pairs()) {
      const torch::Tensor gradient = parameter.grad().reshape({-1}).clone();
      const torch::NoGradGuard no_grad;
      const torch::Tensor flat = parameter.view({-1});
      for (std::int64_t i = (flat.numel() * 7) / 11, tries = 0; tries < 2; i = (i * 31 + 17) % flat.numel(), ++tries) {
        const double value = flat[i].item<double>(), h = 1e-6;
        flat[i] = value + h;
        const double up = loss().item<double>();
        flat[i] = value - h;
        const double down = loss().item<double>();
        flat[i] = value;
        EXPECT_NEAR(gradient[i].item<double>(), (up - down) / (2 * h),
                    1e-5 * (1 + std::abs(gradient[i].item<double>())))
            << name;
        ++checked;
      }
    }
    EXPECT_GE(checked, 8);
  }
}

}  // namespace
}  // namespace swallowtail
