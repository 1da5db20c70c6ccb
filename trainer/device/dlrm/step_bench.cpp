// Whole training steps: the input's way to the device included, data made once.
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>

#include "kernels/interaction.h"
#include "kernels/random.h"
#include "parallel/local_communicator.h"
#include "trainer/device/device_clock.h"
#include "trainer/device/dlrm/device_bench.h"
#include "trainer/device/dlrm/dlrm_trainer.h"
#include "trainer/device/dlrm/sharded_trainer.h"
#include "trainer/embedding/table_specs.h"

namespace swallowtail {

namespace {

struct StepCase {
  const char* name;
  std::int64_t tables, rows, dim, dense;
  std::vector<std::int64_t> bottom, top;
  std::int64_t batch;
  cuda::Precision precision;
  double goal = 0;  // M samples/s
  const char* goal_name = "";
  std::int64_t cross_layers = 0, cross_rank = 0;  // of a cross network in place of the dot interaction
};

std::vector<NetworkLayer> layers_of(std::int64_t in, const std::vector<std::int64_t>& widths, std::int64_t& size) {
  std::vector<NetworkLayer> layers;
  for (const std::int64_t out : widths) {
    layers.push_back({in, out, size, size + in * out});
    size += in * out + out;
    in = out;
  }
  return layers;
}

DeviceModel model_of(const StepCase& of) {
  DeviceModel model;
  for (std::int64_t t = 0; t < of.tables; ++t)
    model.tables.push_back(
        {.name = fmt::format("t{}", t),
         .feature = t,
         .rows = of.rows,
         .dim = of.dim,
         .optimizer = {.kind = Optimizer::rowwise_adagrad, .learning_rate = 0.01F, .epsilon = 1e-8F}});
  auto bottom = of.bottom, top = of.top;
  bottom.push_back(of.dim);
  top.push_back(1);
  model.network = {.dense = of.dense, .dim = of.dim, .vectors = of.tables};
  model.network.bottom = layers_of(of.dense, bottom, model.parameters);
  std::int64_t crossed = interaction_width(of.tables + 1, {0, of.dim, false, true});
  if (of.cross_layers > 0) {
    crossed = (of.tables + 1) * of.dim;
    model.network.dot = false;
    for (std::int64_t l = 0; l < of.cross_layers; ++l) {
      const std::int64_t v = model.parameters, u = v + crossed * of.cross_rank, bias = u + crossed * of.cross_rank;
      model.network.cross.push_back({.v = {crossed, of.cross_rank, v, -1}, .u = {of.cross_rank, crossed, u, bias}});
      model.parameters = bias + crossed;
    }
  }
  model.network.top = layers_of(crossed, top, model.parameters);
  model.optimizer = {.kind = Optimizer::sgd, .learning_rate = 0.01F};
  model.precision = of.precision;
  return model;
}

Batch batch_of(const StepCase& of, std::uint64_t seed) {
  Batch batch;
  batch.size = of.batch;
  const auto key = [&](std::uint64_t purpose, std::int64_t i) {
    return random::bits(seed, purpose, static_cast<std::uint64_t>(i));
  };
  for (std::int64_t i = 0; i < of.batch * of.dense; ++i)
    batch.dense.push_back(static_cast<float>(random::uniform(key(1, i))));
  for (std::int64_t b = 0; b < of.batch; ++b) {
    batch.labels.push_back(static_cast<float>(random::below(key(2, b), 2)));
    batch.samples.push_back(b);
  }
  for (std::int64_t t = 0; t < of.tables; ++t) {
    JaggedIds& ids = batch.ids.emplace_back();
    ids.offsets.push_back(0);
    for (std::int64_t b = 0; b < of.batch; ++b) {
      ids.values.push_back(random::below(key(static_cast<std::uint64_t>(10 + t), b), of.rows));
      ids.offsets.push_back(b + 1);
    }
  }
  return batch;
}

struct Timed {
  std::vector<double> seconds;  // of each step, rising
  double last_loss = 0;
};

/// Steps from the same first values and over the same batches, whatever the trainer. shards: the tables', all zeros.
Timed run_steps(DeviceTrainer& trainer, const StepCase& of, const DeviceBenchOptions& options,
                std::span<TableShard> shards) {
  std::vector<float> weights, state;
  for (std::int64_t i = 0; i < model_of(of).parameters; ++i)
    weights.push_back(static_cast<float>(0.02 * random::normal(random::bits(3, 4, static_cast<std::uint64_t>(i)))));
  trainer.upload({weights, state, {}, shards});
  const std::array batches{batch_of(of, 1), batch_of(of, 2)};
  Timed timed;
  const int warm_up = 5, steps = options.tiny ? 1 : 40;
  for (int step = 1; step <= warm_up + steps; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    const DeviceOutcome outcome = trainer.step({.batch = batches[static_cast<std::size_t>(step % 2)],
                                                .batch_sizes = {&of.batch, 1},
                                                .step = step,
                                                .next = &batches[static_cast<std::size_t>(1 - step % 2)],
                                                .next_sizes = {&of.batch, 1}});
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    timed.last_loss = outcome.losses.front();
    if (step > warm_up) timed.seconds.push_back(took.count());
  }
  std::ranges::sort(timed.seconds);
  return timed;
}

DeviceTiming timing_of_steps(const std::string& name, const StepCase& of, const Timed& timed) {
  return timing_of(name, fmt::format("{} tables x {} rows x {}, B={}", of.tables, of.rows, of.dim, of.batch),
                   "M samples/s", static_cast<double>(of.batch), 1e6, timed.seconds);
}

Timed time_step(const DeviceBenchOptions& options, const StepCase& of, std::vector<DeviceTiming>& timings) {
  DlrmTrainer trainer(model_of(of));
  std::vector<TableShard> shards(static_cast<std::size_t>(of.tables));
  for (TableShard& shard : shards) {
    shard.weights.assign(static_cast<std::size_t>(of.rows * of.dim), 0.0F);
    shard.state.assign(static_cast<std::size_t>(of.rows), 0.0F);
  }
  Timed timed = run_steps(trainer, of, options, shards);
  DeviceTiming& timing = timings.emplace_back(timing_of_steps(fmt::format("step, {}", of.name), of, timed));
  timing.limit = of.goal;
  timing.limit_name = of.goal_name;
  return timed;
}

/// The step of several ranks with one of them, which sends itself all it exchanges: what a device alone can show of it.
/// Beside the step of one rank, whose loss it must have.
void time_sharded_step(const DeviceBenchOptions& options, const StepCase& of, int device,
                       std::vector<DeviceTiming>& timings) {
  const Timed plain = time_step(options, of, timings);
  const DeviceTiming beside = timings.back();
  const auto ranks = make_single_rank();
  DeviceModel model = model_of(of);
  for (EmbeddingTable& table : model.tables) table.init = EmbeddingInit::zero;
  ShardedEmbedding embedding(model.tables, plan_as_asked(table_specs(model.tables), ranks->node_of()), {.exact = false},
                             *ranks);
  embedding.hand_over_to_devices();
  ShardedTrainer trainer(model, {embedding, *ranks}, device);
  const Timed timed = run_steps(trainer, of, options, embedding.shards());
  if (!(std::abs(timed.last_loss - plain.last_loss) <= 1e-3 * std::abs(plain.last_loss)))
    throw cuda::Failure(
        fmt::format("the step of several ranks ends with the loss {} where that of one rank ends with {}",
                    timed.last_loss, plain.last_loss));
  DeviceTiming& timing =
      timings.emplace_back(timing_of_steps(fmt::format("step of several ranks, one here, {}", of.name), of, timed));
  timing.limit = beside.value;
  timing.limit_name = "the step of one rank";
}

}  // namespace

void time_steps(const DeviceBenchOptions& options, int device, std::vector<DeviceTiming>& timings) {
  using enum cuda::Precision;
  if (options.tiny) {
    time_sharded_step(options, {"tiny", 3, 50, 8, 4, {16}, {16}, 12, fp32}, device, timings);
    time_step(options,
              {.name = "tiny cross",
               .tables = 3,
               .rows = 50,
               .dim = 8,
               .dense = 4,
               .bottom = {16},
               .top = {16},
               .batch = 12,
               .precision = fp32,
               .cross_layers = 2,
               .cross_rank = 5},
              timings);
    return;
  }
  const char* const hugectr = "HugeCTR's per GPU, H100, one-hot (MLPerf v2.1)";
  for (const auto& [name, precision] : {std::pair("one-hot, bf16", bf16), std::pair("one-hot, tf32", tf32)})
    time_step(options, {name, 26, 200000, 128, 13, {512, 256}, {1024, 1024, 512, 256}, 65536, precision, 7.4, hugectr},
              timings);
  for (const auto& [name, precision] : {std::pair("cross network, bf16", bf16), std::pair("cross network, tf32", tf32)})
    time_step(options,
              {.name = name,
               .tables = 26,
               .rows = 200000,
               .dim = 128,
               .dense = 13,
               .bottom = {512, 256},
               .top = {1024, 1024, 512, 256},
               .batch = 16384,
               .precision = precision,
               .cross_layers = 3,
               .cross_rank = 512},
              timings);
  for (const std::int64_t batch : {2048, 32768}) {
    const auto kaggle = [&](const char* name, cuda::Precision precision) {
      return StepCase{name, 26, 1300000, 16, 13, {512, 256, 64}, {512, 256}, batch, precision};
    };
    time_step(options, kaggle("kaggle, bf16", bf16), timings);
    time_step(options, kaggle("kaggle, tf32", tf32), timings);
    time_sharded_step(options, kaggle("kaggle, fp32", fp32), device, timings);
  }
}

}  // namespace swallowtail
