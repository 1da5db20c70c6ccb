// A damaged experiment file either loads, and then resolves to an experiment that reads back, or is refused with an
// Error of one line. Nothing else: no other exception, no crash, no hang.
#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <vector>

#include "tests/fuzz/mutate.h"
#include "trainer/config/experiment.h"

namespace swallowtail {
namespace {

const std::vector<std::string> kGood{
    R"(name: adult
seed: 1
data:
  source: csv
  train: train.csv
  label: income
  positive_labels: [">50K"]
  negative_labels: ["<=50K"]
  dense: [age, hours]
  categorical: [education, "marital-status"]
  columns:
    age: {bins: 20, normalize: log}
    education: {encoding: hash, hash_buckets: 1e5}
  split: {validation: 0.1, test: 0.1, by: random}
model: {type: dlrm, embedding_dim: 8, bottom_mlp: &widths [64, 32], top_mlp: *widths, interaction: dot}
embedding:
  optimizer: adamw
  tables:
    education: {dim: 4, learning_rate: 0.1}
train:
  batch_size: 256
  early_stopping: {metric: auc, patience: 3}
  class_weights: [1.0, 2.5]
)",
    R"(# synthetic data
data:
  source: synthetic
  samples: 1000000
  tables:
    - {name: t0, rows: 1000000, dim: 64, pooling_factor: 20, zipf: 1.05}
    - name: 't1'
      rows: 50
      fixed: false
  labels: planted
  planted: {latent_dim: 4, base_rate: 0.25}
run:
  dir: "runs/\u00e9"
evaluation:
  metrics:
  - auc
  - logloss
checkpoint: {enabled: false}
report: {tensorboard: true}
)",
};

TEST(MutatedYaml, LoadsOrIsRefusedWithOneLine) {
  constexpr std::uint64_t kMutationsOfEach = 1000;
  const auto start = std::clock();
  int accepted = 0, refused = 0;
  for (std::size_t file = 0; file < kGood.size(); ++file)
    for (std::uint64_t seed = 0; seed < kMutationsOfEach; ++seed) {
      const std::string text = fuzz::mutate(kGood[file], seed);
      SCOPED_TRACE("file " + std::to_string(file) + ", seed " + std::to_string(seed) + ":\n" + text);
      try {
        const auto experiment = Experiment::parse(text, {}, "mutated.yaml");
        ++accepted;
        const std::string yaml = experiment.to_yaml();
        ASSERT_EQ(Experiment::parse(yaml, {}, "other.yaml").to_yaml(), yaml);
      } catch (const Error& error) {
        ++refused;
        ASSERT_EQ(error.code(), ExitCode::usage);
        ASSERT_EQ(error.message().find('\n'), std::string::npos) << error.message();
        ASSERT_NE(error.where().find("mutated.yaml"), std::string::npos) << error.message();
      } catch (const std::exception& error) {
        FAIL() << "another exception: " << error.what();
      }
    }
  EXPECT_GT(accepted, 100) << "mutations are too harsh to test anything";
  EXPECT_GT(refused, 500) << "mutations are too mild to test anything";
  EXPECT_LT(std::clock() - start, 60 * CLOCKS_PER_SEC);
}

TEST(MutatedYaml, GoodExperimentsLoad) {
  for (const auto& text : kGood) {
    const auto experiment = Experiment::parse(text);
    EXPECT_EQ(Experiment::parse(experiment.to_yaml()).to_yaml(), experiment.to_yaml());
  }
}

TEST(MutatedYaml, OverridesLoadOrAreRefusedWithOneLine) {
  const std::vector<std::string> good{"model.top_mlp=[64, 32]", "embedding.tables.a.b.dim=8", "data.tables[1].rows=5",
                                      "train={epochs: 3, batch_size: 1e3}", "data.label=\"quoted\""};
  for (std::size_t base = 0; base < good.size(); ++base)
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
      const std::string text = fuzz::mutate(good[base], seed);
      SCOPED_TRACE("override " + std::to_string(base) + ", seed " + std::to_string(seed) + ": " + text);
      try {
        (void)Experiment::parse(kGood[1], {text});
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ExitCode::usage);
        ASSERT_EQ(error.message().find('\n'), std::string::npos) << error.message();
      } catch (const std::exception& error) {
        FAIL() << "another exception: " << error.what();
      }
    }
}

TEST(MutatedYaml, AMegabyteOfOneCharacterIsAnsweredSoon) {
  for (const std::string unit : {"[", "{",        "- ",    "a: ",        "? ",   "\"",     "'",   "&a ",    "*a ",
                                 "!", "|\n",      "a:\n ", "{a: ",       "[a, ", "a: b\n", "#\n", "--- \n", ": ",
                                 "a", "\xC3\xA9", "%a\n",  "? a\n: b\n", ",",    "]",      "\n\n"}) {
    std::string text = "data: ";
    while (text.size() + unit.size() <= 1 << 20) text += unit;
    const auto start = std::clock();
    EXPECT_THROW((void)Experiment::parse(text), Error) << unit;
    EXPECT_LT(std::clock() - start, 20 * CLOCKS_PER_SEC) << unit;  // its own time: other tests run beside it
  }
}

}  // namespace
}  // namespace swallowtail
