// Experiments with their overrides, and cluster files.
#include <filesystem>

#include "tests/fuzz/target.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/config/cluster_file.h"
#include "trainer/config/experiment.h"

namespace swallowtail::fuzz {
namespace {

constexpr auto kCsv = R"(name: adult
seed: 1
data:
  source: csv
  train: train.csv
  label: income
  positive_labels: [">50K"]
  dense: [age, hours]
  categorical: [education, "marital-status"]
  columns:
    age: {bins: 20, normalize: log}
    education: {encoding: hash, hash_buckets: 1e5}
  split: {validation: 0.1, test: 0.1, by: random}
model: {type: dlrm, embedding_dim: 8, bottom_mlp: &widths [64, 32], top_mlp: *widths, interaction: dot}
embedding: {optimizer: adamw, tables: {education: {dim: 4, learning_rate: 0.1}}}
train: {batch_size: 256, early_stopping: {metric: auc, patience: 3}}
)";
constexpr auto kSynthetic = R"(# synthetic data
data:
  source: synthetic
  samples: 1000000
  tables:
    - {name: t0, rows: 1000000, dim: 64, pooling_factor: 20, zipf: 1.05}
    - name: 't1'
      rows: 50
run:
  dir: "runs/\u00e9"
evaluation:
  metrics:
  - auc
  - logloss
checkpoint: {enabled: false}
)";

Verdict judge_experiment(std::string_view input) {
  return taken_unless({ExitCode::usage}, [&] {
    const std::string yaml = Experiment::parse(input, {}, "fuzzed.yaml").to_yaml();
    expect(Experiment::parse(yaml, {}, "again.yaml").to_yaml() == yaml, "an experiment reads back as it was written");
  });
}
std::vector<std::string> experiments() { return {kCsv, kSynthetic, "data: {source: synthetic}\n"}; }

/// Lines of the form section.key=value, as on the command line.
Verdict judge_overrides(std::string_view input) {
  std::vector<std::string> overrides;
  for (std::size_t at = 0; at < input.size() && overrides.size() < 20;) {
    const std::size_t end = std::min(input.find('\n', at), input.size());
    overrides.emplace_back(input.substr(at, end - at));
    at = end + 1;
  }
  return taken_unless({ExitCode::usage}, [&] { Experiment::parse(kCsv, overrides, "good.yaml"); });
}
std::vector<std::string> overrides() {
  return {"seed=3\ntrain.batch_size=512\ndata.columns.age.bins=7\n",
          "model={type: dlrm, embedding_dim: 4}\nmodel.top_mlp=[8, 4]",
          "data.label=\"a=b\"\nembedding.tables.education.dim=2"};
}

Verdict judge_cluster(std::string_view input) {
  static const test::TemporaryDirectory folder;
  const std::string file = folder.write("cluster.yaml", input).string();
  return taken_unless({ExitCode::usage}, [&] { cluster_network(read_cluster(file)); });
}
std::vector<std::string> clusters() {
  std::vector<std::string> texts;
  for (const auto& entry : std::filesystem::directory_iterator(SWALLOWTAIL_SOURCE_DIR "/configs/clusters"))
    if (entry.path().filename() != "published.yaml") texts.push_back(test::read_text(entry.path()));
  return texts;
}

constexpr Target kTargets[]{{"experiment", judge_experiment, experiments},
                            {"overrides", judge_overrides, overrides},
                            {"cluster", judge_cluster, clusters}};

}  // namespace

std::span<const Target> config_targets() { return kTargets; }

}  // namespace swallowtail::fuzz
