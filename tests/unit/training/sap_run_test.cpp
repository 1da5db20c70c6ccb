// Runs of SAP from the experiment to their files: the same on any number of ranks, stopped in any stage, explained,
// ablated, and for users who are in no training.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "parallel/local_communicator.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/training/ranking.h"
#include "trainer/training/sap_studies.h"
#include "trainer/training/sap_workshop.h"

namespace swallowtail {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::read_text;
using test::TemporaryDirectory;

const std::string kSap =
    "data: {source: interactions, train: rows.csv, items: items.csv, users: users.csv, split: {by: leave_one_out}}\n"
    "run: {dir: run}\n"
    "report: {tensorboard: false, html: false}\n"
    "evaluation: {k: [5]}\n"
    "model: {type: sap}\n"
    "sap:\n"
    "  strata: {count: 2, smallest: 5, rank: 2}\n"
    "  pool: {per_component: 10, limit: 20}\n"
    "  product: {steps: 4, negatives: 3, hidden: [6]}\n"
    "  graph: {steps: 10}\n"
    "  components:\n"
    "    knn: {settings: [model.type=item_knn, model.shrink=1]}\n"
    "    gru: {experiment: gru.yaml, settings: [train.epochs=2]}\n"
    "    mf: {settings: [model.type=bpr_mf, model.embedding_dim=4, train.batch_size=64, train.epochs=2, "
    "train.chunk=16]}\n";

/// Two kinds of users, to be told apart by their group, with a taste for items of one parity.
void write_data(const TemporaryDirectory& directory) {
  std::string rows = "user,item,timestamp,rating\n", users = "user,age,group\n", items = "item,kinds\n";
  for (int user = 0; user < 80; ++user) {
    users += fmt::format("u{},{},{}\n", user, 20 + user % 30, user % 2 ? "odd" : "even");
    for (int i = 0; i < 8 + user % 5; ++i)
      rows += fmt::format("u{},i{},{},{}\n", user, (user % 2) + 2 * ((user * 5 + i * 3) % 14), i * 10 + user,
                          1 + (user + i) % 5);
  }
  for (int item = 0; item < 30; ++item) items += fmt::format("i{},{}|{}\n", item, item % 2 ? "odd" : "even", item % 5);
  directory.write("rows.csv", rows);
  directory.write("users.csv", users);
  directory.write("items.csv", items);
  directory.write("gru.yaml",
                  "data: {source: interactions, train: nothing.csv}\n"
                  "model: {type: gru4rec, embedding_dim: 8, sequence_length: 6, hidden_dim: 8, layers: 1}\n"
                  "train: {batch_size: 16, epochs: 9, chunk: 8, optimizer: adam, learning_rate: 0.01}\n");
}

Experiment experiment_in(const TemporaryDirectory& directory, std::vector<std::string> overrides = {}) {
  overrides.emplace_back("train.threads=1");
  return Experiment::parse(kSap, overrides, "experiment.yaml", directory.path());
}

json train_in(const TemporaryDirectory& directory, int world = 1, const std::vector<std::string>& overrides = {},
              bool resume = false, const std::string& ablate = {}) {
  const Experiment experiment = experiment_in(directory, overrides);
  json summary;
  run_ranks(world, [&](Communicator& ranks) {
    const json mine =
        train_ranking(experiment, {.resume = resume, .force = !resume, .quiet = true, .ablate = ablate}, ranks);
    if (ranks.rank() == 0) summary = mine;
  });
  return summary;
}

json comparable(const json& summary) {
  json kept;
  for (const char* key : {"validation", "test", "slices", "stages", "components", "pool", "examples"})
    kept[key] = summary.at(key);
  return kept;
}

TEST(SapRun, IsTheSameOnAnyNumberOfRanksAndEveryStageIsThere) {
  TemporaryDirectory directory;
  write_data(directory);
  const json one = train_in(directory);
  for (const char* stage : {"strata", "select", "product", "graph", "reorder", "calibration"})
    EXPECT_TRUE(one.at("stages").contains(stage)) << stage;
  EXPECT_EQ(one.at("components").size(), 3U);
  EXPECT_GT(one.at("pool").at("recall").get<double>(), 0.5);
  ASSERT_EQ(one.at("examples").size(), 2U) << "a user of each stratum";
  for (const json& example : one.at("examples"))
    for (const json& item : example.at("items")) EXPECT_FALSE(item.at("shares").empty()) << example;
  const std::string resolved = read_text(directory.path() / "run" / "experiment.yaml");
  EXPECT_NE(resolved.find("model.hidden_dim=8"), std::string::npos) << "a component's settings stand in the run";
  EXPECT_EQ(resolved.find("gru.yaml"), std::string::npos);
  for (const int world : {2, 4}) EXPECT_EQ(comparable(train_in(directory, world)), comparable(one)) << world;
}

TEST(SapRun, GoesOnInAnyStage) {
  TemporaryDirectory directory;
  write_data(directory);
  const json whole = comparable(train_in(directory));
  const fs::path run = directory.path() / "run";
  // As if it had been stopped before a stage: what comes later is not there.
  const std::vector<std::vector<fs::path>> lost{
      {run / "stages" / "calibration"},
      {run / "stages" / "graph", run / "stages" / "reorder"},
      {run / "components" / "knn" / "component.json", run / "stages" / "product"},
      {run / "stages" / "select", run / "stages" / "product"},
      {run / "meta", run / "components", run / "stages"}};
  for (const auto& parts : lost) {
    fs::remove_all(run / "checkpoints");
    for (const fs::path& part : parts) fs::remove_all(part);
    EXPECT_EQ(comparable(train_in(directory, 2, {}, true)), whole) << parts.front();
  }
}

TEST(SapRun, AFinishedRunThatIsResumedKeepsWhatItsSummarySays) {
  TemporaryDirectory directory;
  write_data(directory);
  const json whole = train_in(directory);
  for (const int world : {1, 2}) EXPECT_EQ(comparable(train_in(directory, world, {}, true)), comparable(whole));
  EXPECT_EQ(train_in(directory, 1, {}, true).at("strata"), whole.at("strata"));
}

TEST(SapRun, AnotherSettingMakesItsStageAnew) {
  TemporaryDirectory directory;
  write_data(directory);
  const json before = train_in(directory);
  fs::remove_all(directory.path() / "run" / "checkpoints");
  const json after = train_in(directory, 1, {"sap.graph.enabled=false"}, true);
  EXPECT_EQ(after.at("stages").at("product"), before.at("stages").at("product"));
  EXPECT_TRUE(after.at("stages").at("graph").empty());
}

/// A component that only says what is popular where every user has a taste.
const std::vector<std::string> kWithPopular{"sap.components.popular.settings=[model.type=popularity]"};

TEST(SapRun, AComponentThatDoesNotHelpIsLeftOutAsIfItHadNotBeenThere) {
  TemporaryDirectory directory;
  write_data(directory);
  const json whole = train_in(directory, 1, kWithPopular);
  const json& select = whole.at("stages").at("select");
  ASSERT_FALSE(select.at("dropped").empty()) << select;
  double before = select.at("all");
  std::set<std::string> dropped;
  for (const json& one : select.at("dropped")) {
    EXPECT_GE(one.at("validation").get<double>(), before);
    before = one.at("validation");
    dropped.insert(one.at("component"));
  }
  EXPECT_TRUE(dropped.contains("popular")) << select;
  for (const json& component : whole.at("components")) {
    const bool is_left = !dropped.contains(component.at("name"));
    EXPECT_EQ(component.at("gates").at("stratum 1").get<double>() > 0, is_left) << component;
    EXPECT_GT(component.at("gates").at("cold users").get<double>(), 0) << component;
    EXPECT_TRUE(is_left || component.at("pool").at("hits") == 0) << component;
  }
  EXPECT_EQ(train_in(directory, 1, kWithPopular, false, select.at("dropped")[0].at("component")).at("validation"),
            whole.at("validation"));
  const json all = train_in(directory, 1, {kWithPopular[0], "sap.product.select=false"});
  EXPECT_TRUE(all.at("stages").at("select").empty());
}

TEST(SapRun, WeightsOfReorderingMayBeThoseThatCostNothing) {
  TemporaryDirectory directory;
  write_data(directory);
  const json summary = train_in(directory, 1, {"sap.reorder.keep=1", "evaluation.diversity_by=kinds"});
  const json& chosen = summary.at("stages").at("reorder");
  ASSERT_GT(chosen.at("tried").size(), 1U);
  EXPECT_EQ(chosen.at("least_ndcg"), chosen.at("tried")[0].at("ndcg")) << "that of no re-ordering";
  for (const json& tried : chosen.at("tried"))
    if (std::abs(tried.at("diversity").get<double>() - chosen.at("diversity").get<double>()) < 1e-6 &&
        std::abs(tried.at("novelty").get<double>() - chosen.at("novelty").get<double>()) < 1e-6) {
      EXPECT_GE(tried.at("ndcg"), chosen.at("least_ndcg"));
    }
  // Lists of cold users are not re-ordered by weights that others' lists chose, so theirs choose none.
  const json cold = train_in(directory, 1, {"sap.strata.cold_below=1000", "evaluation.diversity_by=kinds"});
  EXPECT_EQ(cold.at("stages").at("reorder").at("diversity"), 0);
  EXPECT_EQ(cold.at("stages").at("reorder").at("novelty"), 0);
}

TEST(SapRun, EvaluateAndRecommendGiveTheSameListsWithReasons) {
  TemporaryDirectory directory;
  write_data(directory);
  const json summary = train_in(directory);
  const fs::path run = directory.path() / "run";
  const auto rank = make_single_rank();
  const json evaluated = evaluate_ranking({.run_dir = run}, *rank);
  EXPECT_EQ(evaluated.at("metrics").at("test"), summary.at("test"));
  const json component = evaluate_ranking({.run_dir = run / "components" / "gru"}, *rank);
  EXPECT_TRUE(component.at("metrics").contains("test")) << "a component is a run of its own";

  const json answer = recommend({.run_dir = run, .users = {"u3"}, .k = 5}, *rank);
  ASSERT_EQ(answer.at("items").size(), 5U);
  std::set<std::string> shown;
  double before = std::numeric_limits<double>::infinity();
  for (const json& item : answer.at("items")) {
    shown.insert(item.at("item"));
    EXPECT_LT(item.at("score").get<double>(), before);
    before = item.at("score");
    double shares = 0;
    for (const json& reason : item.at("reasons"))
      if (reason.contains("component")) shares += reason.at("share").get<double>();
    EXPECT_NEAR(shares, 1, 1e-6) << item;
  }
  EXPECT_EQ(shown.size(), 5U);
  EXPECT_EQ(recommend({.run_dir = run, .users = {"nobody"}, .k = 3}, *rank).at("items").size(), 3U);
}

TEST(SapRun, PoolsAreWrittenWithTheirSourcesAndStages) {
  TemporaryDirectory directory;
  write_data(directory);
  train_in(directory);
  const fs::path run = directory.path() / "run", file = directory.path() / "pool.tsv";
  const auto rank = make_single_rank();
  const json answer = recommend({.run_dir = run, .users = {"u3", "u4"}, .pool = file}, *rank);
  EXPECT_EQ(answer.at("pool"), file.string());
  std::istringstream lines(read_text(file));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "user\titem\tplace\tproduct\tgraph\tsources\tgru\tknn\tmf");  // components by name
  std::map<std::string, std::vector<std::string>> items;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string user, item, sources;
    std::size_t place = 0;
    double product = 0, graph = 0, component = 0;
    ASSERT_TRUE(fields >> user >> item >> place >> product >> graph >> sources) << line;
    for (int c = 0; c < 3; ++c) ASSERT_TRUE(fields >> component) << line;
    items[user].push_back(item);
    EXPECT_EQ(place, items[user].size()) << line;
    EXPECT_TRUE(sources == "fill" || sources.find_first_not_of(",gruknmf") == std::string::npos) << line;
  }
  ASSERT_EQ(items.size(), 2U);
  for (const auto& [user, own] : items) {
    EXPECT_EQ(std::set(own.begin(), own.end()).size(), own.size());
    EXPECT_LE(own.size(), 20U);
    const json shown = recommend({.run_dir = run, .users = {user}, .k = 5}, *rank);
    for (std::size_t place = 0; place < 5; ++place) EXPECT_EQ(shown.at("items")[place].at("item"), own[place]) << user;
  }
  EXPECT_THROW(recommend({.run_dir = run / "components" / "knn", .users = {"u3"}, .pool = file}, *rank), Error);
  const std::string one = read_text(file);
  run_ranks(2, [&](Communicator& ranks) { recommend({.run_dir = run, .users = {"u3", "u4"}, .pool = file}, ranks); });
  EXPECT_EQ(read_text(file), one) << "the same on any number of ranks";
}

TEST(SapRun, NewUsersGetTheItemsOfTheirType) {
  TemporaryDirectory directory;
  write_data(directory);
  std::string users = read_text(directory.path() / "users.csv");
  for (int user = 80; user < 90; ++user) users += fmt::format("u{},{},{}\n", user, 30, user % 2 ? "odd" : "even");
  directory.write("users.csv", users);
  train_in(directory, 1, {"sap.components.groups.settings=[model.type=demographic]"});
  const auto rank = make_single_rank();
  for (int user = 80; user < 90; ++user) {
    const json answer =
        recommend({.run_dir = directory.path() / "run", .users = {fmt::format("u{}", user)}, .k = 5}, *rank);
    EXPECT_FALSE(answer.at("by_popularity").get<bool>());
    ASSERT_EQ(answer.at("items").size(), 5U);
    for (const json& item : answer.at("items"))
      EXPECT_EQ(std::stoi(item.at("item").get<std::string>().substr(1)) % 2, user % 2) << user << ": " << item;
  }
}

TEST(SapRun, AblationsReuseComponentsAndAreCompared) {
  TemporaryDirectory directory;
  write_data(directory);
  const json whole = train_in(directory, 1, {"report.html=true"});
  const fs::path run = directory.path() / "run";
  const auto rank = make_single_rank();
  const AblationRequest request{
      .runs = {run}, .names = {"no_graph", "knn", "equal_weights", "one_stratum"}, .quiet = true};
  const json table = ablate_sap(request, *rank).at("ablation");
  ASSERT_EQ(table.size(), 5U);
  EXPECT_EQ(table[0].at("name"), "full");
  EXPECT_EQ(table[0].at("metrics").at("test").at("ndcg@5"), whole.at("test").at("ndcg@5"));
  EXPECT_EQ(table[0].at("difference"), 0);
  for (const json& line : table) {
    EXPECT_LE(line.at("low"), line.at("difference"));
    EXPECT_LE(line.at("difference"), line.at("high"));
  }
  EXPECT_FALSE(fs::exists(run / "ablations" / "no_graph" / "components")) << "the run's own are taken";
  const std::string page = read_text(run / "report.html");
  for (const char* wanted :
       {"equal weights", "ndcg@5 alone, validation", "Recommendations, and why", "Length of the list", "Strata"})
    EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
  EXPECT_EQ(ablate_sap(request, *rank).at("ablation"), table) << "a second time, from what was trained";
  EXPECT_THROW(ablate_sap({.runs = {run}, .names = {"gates"}, .quiet = true}, *rank), Error);
}

TEST(SapRun, LeavesOutWhatTheUserNames) {
  TemporaryDirectory directory;
  write_data(directory);
  const json without = train_in(directory, 1, {}, false, "gru");
  ASSERT_EQ(without.at("components").size(), 2U);
  for (const json& component : without.at("components")) EXPECT_NE(component.at("name"), "gru");
}

TEST(SapRun, WrongComponentsAreTold) {
  TemporaryDirectory directory;
  write_data(directory);
  const auto refusal = [&](const std::vector<std::string>& overrides) {
    try {
      train_in(directory, 1, overrides);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.message();
    }
    return std::string();
  };
  EXPECT_NE(refusal({"sap.components.x.enabled=true"}).find("nothing says what component 'x' is"), std::string::npos);
  EXPECT_NE(refusal({"sap.components.x.settings=[model.type=sap]"}).find("is of type sap"), std::string::npos);
  EXPECT_NE(refusal({"sap.pool.sources=[nobody]"}).find("no component 'nobody'"), std::string::npos);
}

TEST(ColdUsers, AreServedByWhatIsKnownOfTheirGroup) {
  TemporaryDirectory directory;
  write_data(directory);
  const auto rank = make_single_rank();
  const Experiment experiment = experiment_in(
      directory,
      {"run.dir=" + (directory.path() / "cold").string(),
       "sap.components.youtube.settings=[model.type=youtube, model.embedding_dim=8, 'model.tower=[16]', "
       "train.batch_size=32, train.chunk=16, train.epochs=12, train.optimizer=adam, train.learning_rate=0.02]"});
  const json answer = measure_cold_users(experiment, {.folds = 2, .known = {0, 2}, .quiet = true}, *rank);
  ASSERT_EQ(answer.at("results").size(), 2U);
  for (const json& line : answer.at("results")) {
    EXPECT_EQ(line.at("users"), 80);
    // Half of the items are of the other taste, and groups say which.
    EXPECT_GT(line.at("low").get<double>(), 0) << line;
  }
}

}  // namespace
}  // namespace swallowtail
