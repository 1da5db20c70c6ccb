// Chunks of a step are computed side by side: the number of threads changes no bit.
#include <gtest/gtest.h>

#include "parallel/local_communicator.h"
#include "trainer/training/torch_ranker.h"

namespace swallowtail {
namespace {

Interactions drawn_interactions() {
  Interactions data;
  std::vector<std::string> users, items;
  for (std::int64_t item = 0; item < 40; ++item) items.push_back(std::to_string(item));
  for (std::int64_t user = 0; user < 150; ++user) {
    users.push_back(std::to_string(user));
    for (std::int64_t i = 0; i < 5 + user % 9; ++i) data.train.items.push_back((user * 7 + i * i) % 40);
    data.train.offsets.push_back(data.train.size());
  }
  for (std::int64_t i = 0; i < data.train.size(); ++i) data.train.ratings.push_back(static_cast<float>(1 + i % 5));
  data.train.times.assign(data.train.items.size(), 0);
  data.users = IdList(users);
  data.items = IdList(items);
  return data;
}

TEST(TorchRanker, HasTheSameBitsOnAnyNumberOfThreads) {
  const Interactions data = drawn_interactions();
  const auto rank = make_single_rank();
  const std::pair<std::string, MakeNetwork> models[]{
      {"model: {type: sasrec, embedding_dim: 32, sequence_length: 8, layers: 2, heads: 2, dropout: 0.2}\n",
       make_sasrec},
      {"model: {type: gru4rec, embedding_dim: 32, sequence_length: 8, layers: 1, hidden_dim: 32}\n", make_gru4rec},
      {"model: {type: einmf, embedding_dim: 32, tower: [64, 32, 16], dropout: 0.1}\n", make_einmf},
      {"model: {type: mult_vae, hidden_dim: 64, latent_dim: 16, dropout: 0.5}\n", make_mult_vae}};
  const int before = at::get_num_threads();
  for (const auto& [yaml, make] : models) {
    const auto experiment = Experiment::parse("data: {source: interactions, train: none}\n" + yaml +
                                              "train: {chunk: 16, optimizer: adam, learning_rate: 0.01}\n");
    std::vector<RankingQuery> queries;
    for (std::int64_t user = 0; user < data.users.size(); ++user) queries.push_back({user, data.train.of(user)});
    std::vector<double> losses[2];
    std::vector<float> scores[2];
    for (const int threads : {1, 3}) {
      at::set_num_threads(threads);
      const auto model = make_torch_ranker({experiment, data, *rank}, make);
      auto& own = losses[threads / 2];
      for (std::int64_t step = 1; step <= 3; ++step)
        own.push_back(model->train_step({.step = step, .epoch = 0, .first = 0, .size = 100}));
      model->prepare_scores();
      scores[threads / 2].resize(queries.size() * 40);
      model->score(queries, scores[threads / 2]);
    }
    EXPECT_NE(losses[0][0], losses[0][2]) << yaml;
    EXPECT_EQ(losses[0], losses[1]) << yaml;
    EXPECT_EQ(scores[0], scores[1]) << yaml;
  }
  at::set_num_threads(before);
}

}  // namespace
}  // namespace swallowtail
