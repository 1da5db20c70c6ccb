// The memory bill names what a step really holds: resident memory grows with the batch by what the bill grows by.
#include "trainer/training/memory_bill.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <numeric>

#include "parallel/local_communicator.h"
#include "trainer/data/synthetic.h"
#include "trainer/training/session.h"
#include "trainer/training/step.h"

namespace swallowtail {
namespace {

Experiment experiment_of(std::int64_t batch, const char* interaction) {
  return Experiment::parse(
      fmt::format("data: {{source: synthetic, samples: {0}, dense_features: 13, tables: [{{rows: 500, dim: 16, "
                  "pooling_factor: 3}}, "
                  "{{rows: 700, dim: 16}}]}}\n"
                  "model: {{embedding_dim: 16, bottom_mlp: [64], top_mlp: [64], interaction: {1}}}\n"
                  "train: {{batch_size: {0}, optimizer: sgd, threads: 1}}\ncheckpoint: {{enabled: false}}\n",
                  batch, interaction));
}

Batch read_all(const Dataset& data) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(data.size()));
  std::iota(samples.begin(), samples.end(), std::int64_t{0});
  Batch batch;
  data.read(samples, batch);
  return batch;
}

template <typename Check>
void with_session(std::int64_t batch, const char* interaction, const Check& check) {
  const Experiment experiment = experiment_of(batch, interaction);
  run_ranks(1, [&](Communicator& ranks) {
    Data data;
    data.train = make_synthetic(experiment, 1, "train");
    Session session(experiment, std::move(data), ranks);
    check(session);
  });
}

nlohmann::json bill_of(Session& session) {
  const std::int64_t dense = std::ssize(session.data.train->shape().dense);
  return memory_bill(session.experiment,
                     {.tables = session.tables,
                      .plan = session.embedding.plan(),
                      .dense_parameters = session.dense.size(),
                      .dense_features = dense,
                      .activations = session.pass->floats_a_sample()},
                     session.ranks)
      .at("ranks")
      .at(0);
}

std::int64_t resident_bytes() {
  std::int64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

TEST(MemoryBill, CountsWhatABatchHolds) {
  with_session(5000, "cat", [](Session& session) {
    const Batch batch = read_all(*session.data.train);
    std::size_t bytes = 4 * (batch.dense.size() + batch.labels.size()) + 8 * batch.samples.size();
    for (const JaggedIds& ids : batch.ids) bytes += 8 * (ids.values.size() + ids.offsets.size() - 1);
    const std::int64_t counted = batch_bytes(session.tables, 13, batch.size);
    EXPECT_NEAR(static_cast<double>(counted), static_cast<double>(bytes), 0.02 * static_cast<double>(bytes));
  });
}

class MemoryBillOf : public ::testing::TestWithParam<const char*> {};

TEST_P(MemoryBillOf, GrowsWithTheBatchAsAStepsMemoryDoes) {
  constexpr std::int64_t kSmall = 64, kLarge = 64000;
  double small = 0;
  const auto grows = [](const nlohmann::json& bill) {
    return bill.at("exchange").get<double>() + bill.at("activations").get<double>();
  };
  with_session(kSmall, GetParam(), [&](Session& session) { small = grows(bill_of(session)); });
  with_session(kLarge, GetParam(), [&](Session& session) {
    const Batch batch = read_all(*session.data.train);
    const std::int64_t before = resident_bytes();
    PhaseClock clock;
    for (std::int64_t step = 1; step <= 2; ++step) train_step(session, {batch, kLarge, step, 1.0}, clock);
    const auto taken = static_cast<double>(resident_bytes() - before), billed = grows(bill_of(session)) - small;
    EXPECT_LT(taken, 1.1 * billed + 8e6);  // and what a few pages of everything else come to
    EXPECT_GT(taken, 0.6 * billed);        // the sort of ids holds one table's, the bill all tables'
  });
}

INSTANTIATE_TEST_SUITE_P(Interactions, MemoryBillOf, ::testing::Values("cat", "cross"),
                         [](const auto& of) { return std::string(of.param); });

}  // namespace
}  // namespace swallowtail
