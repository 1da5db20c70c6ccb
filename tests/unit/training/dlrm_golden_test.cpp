// A small DLRM and a small DCN-v2 against PyTorch in fp64: logits, gradients, and the weights after 20 steps of every
// optimizer.
// The reference values are made by tests/golden/dlrm.py; both sides compute the same initial values and batches by
// formula.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "parallel/local_communicator.h"
#include "trainer/training/step.h"

namespace swallowtail {
namespace {

using nlohmann::json;

constexpr std::int64_t kBatch = 12, kDense = 3, kDim = 4, kSteps = 20;
constexpr std::int64_t kRows[] = {5, 9, 7};

float wave(std::int64_t key, std::int64_t i) {
  const auto k = static_cast<double>(key), j = static_cast<double>(i);
  return static_cast<float>(std::sin(0.7 * k + 1.3 * j + 0.01 * k * j));
}

/// Sample (step - 1) * kBatch + b is sample b of the script's batch(step).
class WaveDataset : public Dataset {
 public:
  WaveDataset() {
    shape_.dense = {"d0", "d1", "d2"};
    for (int t = 0; t < 3; ++t) shape_.categorical.push_back({.name = "t" + std::to_string(t), .rows = kRows[t]});
    shape_.labels = {"label"};
  }
  const DataShape& shape() const noexcept override { return shape_; }
  std::int64_t size() const noexcept override { return kBatch * kSteps; }
  std::string origin(std::int64_t sample) const override { return "wave sample " + std::to_string(sample); }
  void read(std::span<const std::int64_t> samples, Batch& out) const override {
    out = {};
    out.size = static_cast<std::int64_t>(samples.size());
    out.samples.assign(samples.begin(), samples.end());
    out.ids.assign(3, JaggedIds{{}, {0}, {}});
    for (const std::int64_t sample : samples) {
      const std::int64_t step = sample / kBatch + 1, b = sample % kBatch;
      for (std::int64_t d = 0; d < kDense; ++d) out.dense.push_back(wave(100 + step, b * kDense + d));
      out.labels.push_back((b * 7 + step) % 3 == 0 ? 1.0F : 0.0F);
      for (std::int64_t t = 0; t < 3; ++t) {
        for (std::int64_t i = 0; i < (b + t) % 4; ++i)
          out.ids[t].values.push_back((b * 5 + i * 3 + step + t) % kRows[t]);
        out.ids[t].offsets.push_back(static_cast<std::int64_t>(out.ids[t].values.size()));
      }
    }
  }

 private:
  DataShape shape_;
};

/// The file of golden values and the words that make the model; the test's parameter.
struct Model {
  const char *file, *interaction;
};

Experiment experiment_of(const Model& model, const std::string& dense, const std::string& sparse, double rate,
                         double decay, bool deterministic) {
  return Experiment::parse(
      "data: {source: synthetic}\n"
      "model: {type: dlrm, embedding_dim: 4, bottom_mlp: [6], top_mlp: [8], " +
      std::string(model.interaction) +
      "}\n"
      "embedding: {sharding: table_wise, optimizer: " +
      sparse + ", learning_rate: " + std::to_string(rate) + ", weight_decay: " + std::to_string(decay) +
      "}\n"
      "train: {batch_size: 12, optimizer: " +
      dense + ", learning_rate: " + std::to_string(rate) + ", weight_decay: " + std::to_string(decay) +
      ", chunk: 5, threads: 1, deterministic: " + (deterministic ? "true" : "false") + "}\n");
}

void set_parameters(Session& session) {
  std::int64_t key = 1;
  for (const auto& entry : session.dense.entries()) {
    const bool bias = entry.shape.size() == 1;
    for (std::int64_t i = 0; i < entry.size; ++i)
      session.dense.weights()[entry.first + i] = (bias ? 0.1F : 0.4F) * wave(key, i);
    ++key;
  }
  for (TableShard& shard : session.embedding.shards())
    for (std::size_t i = 0; i < shard.weights.size(); ++i)
      shard.weights[i] = 0.5F * wave(50 + shard.table, static_cast<std::int64_t>(i));
}

StepOutcome one_step(Session& session, std::int64_t step) {
  const auto [begin, end] = session.share.rank_samples(kBatch, session.ranks.rank());
  std::vector<std::int64_t> samples;
  for (std::int64_t b = begin; b < end; ++b) samples.push_back((step - 1) * kBatch + b);
  Batch batch;
  session.data.train->read(samples, batch);
  PhaseClock clock;
  return train_step(session, {batch, kBatch, step, 1.0}, clock);
}

class DlrmGolden : public ::testing::TestWithParam<Model> {
 protected:
  const json& golden() const { return golden_; }

 private:
  json golden_ = json::parse(std::ifstream(std::string(SWALLOWTAIL_SOURCE_DIR "/tests/golden/") + GetParam().file));
};

Data wave_data() {
  Data data;
  data.train = std::make_unique<WaveDataset>();
  return data;
}

void expect_close(std::span<const float> got, const json& wanted, double relative, const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  double scale = 0;  // relative to the tensor's largest value: a small one beside it carries its rounding
  for (const json& value : wanted) scale = std::max(scale, std::abs(value.get<double>()));
  for (std::size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], wanted[i].get<double>(), relative * scale + 1e-12) << what << " at " << i;
}

TEST_P(DlrmGolden, LogitsAndGradients) {
  for (const bool deterministic : {false, true})
    for (const int world_size : {1, 2, 4})
      run_ranks(world_size, [&](Communicator& ranks) {
        Session session(experiment_of(GetParam(), "sgd", "sgd", 0.1, 0, deterministic), wave_data(), ranks);
        set_parameters(session);
        const auto [begin, end] = session.share.rank_samples(kBatch, ranks.rank());
        std::vector<std::int64_t> samples;
        for (std::int64_t b = begin; b < end; ++b) samples.push_back(b);
        Batch batch;
        session.data.train->read(samples, batch);
        const torch::Tensor logits = predict_step(session, batch, kBatch, 1, false).contiguous();
        for (std::int64_t b = begin; b < end; ++b)
          EXPECT_NEAR(logits.data_ptr<float>()[b - begin], golden()["logits"][b].get<double>(), 1e-6 * 0.2)
              << "sample " << b;

        std::vector<TableVector<float>> before;
        for (const TableShard& shard : session.embedding.shards()) before.push_back(shard.weights);
        EXPECT_NEAR(one_step(session, 1).loss, golden()["loss"].get<double>(), 1e-6);
        for (const auto& entry : session.dense.entries())
          expect_close(std::span<const float>(session.dense.gradient()).subspan(entry.first, entry.size),
                       golden()["gradients"][entry.name], 1e-5, entry.name);
        // A step of plain SGD moves a table by its gradient times the rate.
        for (std::size_t s = 0; s < before.size(); ++s) {
          const TableShard& shard = session.embedding.shards()[s];
          for (std::size_t i = 0; i < before[s].size(); ++i)
            EXPECT_NEAR((before[s][i] - shard.weights[i]) / 0.1,
                        golden()["table_gradients"][shard.table][i].get<double>(), 1e-6);
        }
      });
}

TEST_P(DlrmGolden, WeightsAfterTwentySteps) {
  struct Case {
    std::string sparse, dense;
    double rate, decay;
  };
  for (const Case& c :
       {Case{"sgd", "sgd", 0.1, 0}, Case{"adagrad", "adagrad", 0.05, 0}, Case{"rowwise_adagrad", "adagrad", 0.05, 0},
        Case{"adam", "adam", 0.02, 0}, Case{"adamw", "adamw", 0.02, 0.1}})
    for (const bool deterministic : {false, true})
      for (const int world_size : {1, 3})
        run_ranks(world_size, [&](Communicator& ranks) {
          Session session(experiment_of(GetParam(), c.dense, c.sparse, c.rate, c.decay, deterministic), wave_data(),
                          ranks);
          set_parameters(session);
          const json& wanted = golden()["trained"][c.sparse];
          for (std::int64_t step = 1; step <= kSteps; ++step)
            EXPECT_NEAR(one_step(session, step).loss, wanted["losses"][step - 1].get<double>(), 2e-6)
                << c.sparse << " step " << step;
          for (const auto& entry : session.dense.entries())
            expect_close(std::span<const float>(session.dense.weights()).subspan(entry.first, entry.size),
                         wanted["dense"][entry.name], 1e-5, c.sparse + " " + entry.name);
          for (const TableShard& shard : session.embedding.shards())
            expect_close(shard.weights, wanted["tables"][shard.table], 1e-5,
                         c.sparse + " table " + std::to_string(shard.table));
        });
}

INSTANTIATE_TEST_SUITE_P(Models, DlrmGolden,
                         ::testing::Values(Model{"dlrm.json", "interaction: dot"},
                                           Model{"dcn.json", "interaction: cross, cross_layers: 3, cross_rank: 3"}),
                         [](const auto& of) { return std::string(of.index == 0 ? "dlrm" : "dcn"); });

}  // namespace
}  // namespace swallowtail
