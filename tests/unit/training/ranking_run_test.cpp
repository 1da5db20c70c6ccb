// Ranking runs from the experiment to their files: goldens on ml-100k, protocols, resuming, recommending.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "parallel/local_communicator.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/training/ranking.h"
#include "trainer/training/ranking_session.h"

namespace swallowtail {
namespace {

using nlohmann::json;
using test::read_text;
using test::shared_data;
using test::TemporaryDirectory;

json run(const TemporaryDirectory& directory, const std::string& yaml, bool resume = false, int world = 1) {
  // Of LibTorch's sums inside a chunk, threads change the order.
  const auto experiment = Experiment::parse(yaml, {"train.threads=1"}, "experiment.yaml", directory.path());
  json summary;
  run_ranks(world, [&](Communicator& ranks) {
    const json mine = train_ranking(experiment, {.resume = resume, .force = !resume, .quiet = true}, ranks);
    if (ranks.rank() == 0) summary = mine;
  });
  return summary;
}

/// Users with a taste for items of their own parity, by time; some users and items are rare.
std::string small_rows() {
  std::string rows = "user,item,timestamp,rating\n";
  for (int user = 0; user < 24; ++user)
    for (int i = 0; i < 8 + user % 3; ++i)
      rows += fmt::format("u{},i{},{},{}\n", user, (user % 2) + 2 * ((user * 5 + i * 3) % 14), i * 10 + user,
                          1 + (user + i) % 5);
  return rows;
}

const std::string kSmall =
    "data: {source: interactions, train: rows.csv, items: items.csv, users: users.csv, split: {by: leave_one_out}}\n"
    "run: {dir: run}\n"
    "report: {tensorboard: false, html: false}\n"
    "evaluation: {k: [3, 5]}\n";

void write_small(const TemporaryDirectory& directory) {
  directory.write("rows.csv", small_rows());
  std::string items = "item,kinds\n";
  for (int item = 0; item < 30; ++item) items += fmt::format("i{},{}|{}\n", item, item % 2 ? "odd" : "even", item % 5);
  directory.write("items.csv", items);
  std::string users = "user,age,group\n";
  for (int user = 0; user < 24; ++user) users += fmt::format("u{},{},{}\n", user, 20 + user, user % 2 ? "odd" : "even");
  directory.write("users.csv", users);
}

const std::string kBpr =
    "model: {type: bpr_mf, embedding_dim: 8}\n"
    "embedding: {optimizer: adam, learning_rate: 0.02, init: normal, init_scale: 0.1}\n"
    "train: {batch_size: 32, epochs: 4, chunk: 8}\n";
const std::string kGcn =
    "model: {type: lightgcn, embedding_dim: 8, layers: 2}\n"
    "embedding: {optimizer: adam, learning_rate: 0.02, weight_decay: 0.001}\n"
    "train: {batch_size: 32, epochs: 3}\n";
const std::string kSasRec =
    "model: {type: sasrec, embedding_dim: 8, sequence_length: 5, dropout: 0.2}\n"
    "train: {batch_size: 8, epochs: 3, optimizer: adam, learning_rate: 0.01, chunk: 4}\n";
const std::string kGru =
    "model: {type: gru4rec, embedding_dim: 8, sequence_length: 5, hidden_dim: 8, layers: 1, dropout: 0.2}\n"
    "train: {batch_size: 8, epochs: 3, optimizer: adam, learning_rate: 0.01, chunk: 4}\n";

/// What two runs must share: everything but times, places and machines.
json comparable(const json& summary) {
  json kept;
  for (const char* key : {"steps", "samples", "train", "validation", "test", "slices", "best_step", "protocol"})
    kept[key] = summary.at(key);
  return kept;
}

const std::string kYouTube =
    "model: {type: youtube, embedding_dim: 4, tower: [8], sequence_length: 5, dropout: 0.1}\n"
    "train: {batch_size: 64, epochs: 2, optimizer: adam, learning_rate: 0.01, chunk: 16}\n";

TEST(RankingRun, PopularityOfMl100kIsTheGolden) {
  const auto folder = shared_data("ml-100k/loo");
  if (folder.empty()) GTEST_SKIP() << "no ml-100k beside the checkout";
  TemporaryDirectory directory;
  const std::string yaml = fmt::format(
      "data: {{source: interactions, train: {0}/train.tsv, validation: {0}/validation.tsv, test: {0}/test.tsv, "
      "items: {0}/../ml-100k.item, candidates: {0}/test_candidates.tsv}}\n"
      "model: {{type: popularity}}\nrun: {{dir: run}}\nreport: {{tensorboard: false}}\n",
      folder.string());
  for (const int world : {1, 4}) {
    const json test = run(directory, yaml, false, world).at("test");
    EXPECT_DOUBLE_EQ(test.at("hit_rate@10"), 81.0 / 943) << world;
    EXPECT_NEAR(test.at("ndcg@10").get<double>(), 0.0448846, 5e-8) << world;
    EXPECT_NEAR(test.at("mrr@10").get<double>(), 0.032555, 5e-7) << world;
    EXPECT_NEAR(test.at("coverage@10").get<double>(), 0.054102, 5e-7) << world;
  }
  const json sampled = run(directory, yaml + "evaluation: {protocol: sampled}\n").at("test");
  EXPECT_NEAR(sampled.at("hit_rate@10").get<double>(), 0.4040, 5e-5);
  EXPECT_NEAR(sampled.at("ndcg@10").get<double>(), 0.2246, 5e-5);
  EXPECT_NEAR(sampled.at("mrr@10").get<double>(), 0.1708, 5e-5);
}

const std::string kVae =
    "model: {type: mult_vae, hidden_dim: 16, latent_dim: 4, dropout: 0.5}\n"
    "train: {batch_size: 10, epochs: 3, optimizer: adam, learning_rate: 0.01, chunk: 4}\n";
const std::string kDae =
    "model: {type: mult_dae, latent_dim: 8, dropout: 0.5}\n"
    "train: {batch_size: 10, epochs: 3, optimizer: adam, learning_rate: 0.01, chunk: 4}\n";
const std::string kNeuMf =
    "model: {type: neumf, embedding_dim: 4, tower: [8, 4], dropout: 0.1}\n"
    "train: {batch_size: 64, epochs: 2, optimizer: adam, learning_rate: 0.01, chunk: 16, negatives_per_positive: 3}\n";
const std::string kEinmf =
    "model: {type: einmf, embedding_dim: 4, tower: [8, 4]}\n"
    "train: {batch_size: 64, epochs: 2, optimizer: adam, learning_rate: 0.01, chunk: 16, negatives_per_positive: 2}\n";

TEST(RankingRun, EveryModelIsTheSameOnAnyNumberOfRanks) {
  TemporaryDirectory directory;
  write_small(directory);
  for (const std::string& model : {std::string("model: {type: popularity}\n"), std::string("model: {type: item_knn}\n"),
                                   std::string("model: {type: ease, regularization: 2}\n"), kBpr, kGcn, kSasRec, kGru,
                                   kVae, kDae, kNeuMf, kEinmf, kYouTube}) {
    const json one = comparable(run(directory, kSmall + model));
    for (const int world : {2, 3, 4})
      EXPECT_EQ(comparable(run(directory, kSmall + model, false, world)), one) << model << world << " ranks";
  }
}

TEST(RankingRun, ResumingIsAsIfItHadNotStopped) {
  TemporaryDirectory directory;
  write_small(directory);
  for (const std::string& model : {kBpr, kGcn, kSasRec, kGru, kVae, kEinmf}) {
    const json whole = comparable(run(directory, kSmall + model));
    const std::string stopped = kSmall + model + "checkpoint: {every_steps: 1}\n";
    std::string first = stopped;
    first.insert(first.find("train: {") + 8, "max_steps: 5, ");
    run(directory, first);
    EXPECT_EQ(comparable(run(directory, stopped, true, 2)), whole) << model;
  }
}

TEST(RankingRun, EvaluateAndRecommendReadTheRun) {
  TemporaryDirectory directory;
  write_small(directory);
  const json summary = run(directory, kSmall + "model: {type: item_knn, shrink: 1}\n");
  directory.write("rows.csv", "gone");  // a run needs its sources no more
  const auto rank = make_single_rank();
  const auto lists = directory.path() / "lists.tsv";
  const json evaluated = evaluate_ranking({.run_dir = directory.path() / "run", .rankings = lists}, *rank);
  EXPECT_EQ(evaluated.at("metrics").at("test"), summary.at("test"));
  EXPECT_EQ(evaluated.at("slices").at("test"), summary.at("slices").at("test"));
  std::istringstream text(read_text(lists));
  std::string line;
  std::getline(text, line);
  EXPECT_EQ(line, "user\titems");
  std::getline(text, line);
  const std::string user = line.substr(0, line.find('\t')), first = line.substr(line.find('\t') + 1);

  const json answer = recommend({.run_dir = directory.path() / "run", .users = {user}, .k = 5}, *rank);
  EXPECT_EQ(answer.at("user"), user);
  std::string joined;
  for (const auto& item : answer.at("items"))
    joined += (joined.empty() ? "" : " ") + item.at("item").get<std::string>();
  EXPECT_EQ(joined, first);  // the same lists as the test was measured by
  EXPECT_FALSE(answer.at("items")[0].at("reasons").empty());

  const json both = recommend({.run_dir = directory.path() / "run", .users = {"nobody", user}, .k = 2}, *rank);
  EXPECT_TRUE(both.at("users")[0].at("by_popularity").get<bool>());
  EXPECT_EQ(both.at("users")[0].at("items").size(), 2U);
  EXPECT_EQ(both.at("users")[1].at("items")[0], answer.at("items")[0]);
}

TEST(RankingRun, NothingSeenIsRecommendedAndSlicesAddUp) {
  TemporaryDirectory directory;
  write_small(directory);
  const auto experiment =
      Experiment::parse(kSmall + "model: {type: popularity}\n", {}, "experiment.yaml", directory.path());
  const auto rank = make_single_rank();
  RankingSession session(experiment, open_interactions(experiment, directory.path() / "run", *rank), *rank);
  session.model->fit();
  session.model->prepare_scores();
  const RankingResult result = rank_part(session, RankedPart::test, 100);
  EXPECT_EQ(result.lists.k, session.data.items.size());
  for (std::size_t row = 0; row < result.users.size(); ++row) {
    const auto list = result.lists.of(static_cast<std::int64_t>(row));
    const std::set<std::int64_t> shown(list.begin(), list.end());
    EXPECT_EQ(shown.size(), list.size());
    std::set<std::int64_t> seen;
    for (const Histories* part : {&session.data.train, &session.data.validation})
      for (const std::int64_t item : part->of(result.users[row])) {
        EXPECT_FALSE(shown.contains(item));
        seen.insert(item);
      }
    EXPECT_EQ(shown.size() + seen.size(), static_cast<std::size_t>(session.data.items.size()));
  }
  std::int64_t users = 0;
  for (const RankingSlice& slice : result.slices)
    if (slice.name.ends_with("users")) users += slice.users;
  EXPECT_EQ(users, static_cast<std::int64_t>(result.users.size()));
}

TEST(RankingRun, WrongOptionsAreTold) {
  TemporaryDirectory directory;
  write_small(directory);
  const auto refusal = [&](const std::string& yaml) {
    try {
      run(directory, yaml);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.message();
    }
    return std::string();
  };
  EXPECT_NE(refusal(kSmall + "model: {type: popularity}\ntrain: {early_stopping: {metric: recall@4}}\n")
                .find("'recall@4' is not computed"),
            std::string::npos);
  EXPECT_NE(refusal(kSmall + "model: {type: popularity}\ntrain: {early_stopping: {metric: gini}}\n").find("taste"),
            std::string::npos);
  EXPECT_NE(refusal("data: {source: synthetic}\nrun: {dir: run}\nmodel: {type: bpr_mf}\n").find("interactions"),
            std::string::npos);
  EXPECT_NE(refusal("data: {source: interactions, train: rows.csv}\nrun: {dir: run}\n"
                    "model: {type: popularity}\nevaluation: {metrics: [auc]}\n")
                .find("unknown ranking metric 'auc'"),
            std::string::npos);
}

}  // namespace
}  // namespace swallowtail
