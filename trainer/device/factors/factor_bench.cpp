#include "trainer/device/factors/factor_bench.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>

#include "kernels/random.h"
#include "trainer/device/factors/bpr_trainer.h"

namespace swallowtail {

namespace {

struct FactorCase {
  std::int64_t users, items, dim, negatives, batch;
  Optimizer optimizer;
  const char* optimizer_name;
};

FactorModel model_of(const FactorCase& of) {
  const auto table = [&](const char* name, std::int64_t rows, std::int64_t dim) {
    return EmbeddingTable{
        .name = name,
        .rows = rows,
        .dim = dim,
        .optimizer = {.kind = of.optimizer, .learning_rate = 0.01F, .epsilon = usual_epsilon(of.optimizer)}};
  };
  return {.users = table("users", of.users, of.dim),
          .items = table("items", of.items, of.dim),
          .negatives_each = of.negatives};
}

std::vector<TableShard> shards_of(const FactorModel& model) {
  std::vector<TableShard> shards;
  for (const EmbeddingTable* const table : {&model.users, &model.items}) {
    TableShard& shard = shards.emplace_back();
    shard.weights.assign(static_cast<std::size_t>(table->rows * table->dim), 0.1F);
    shard.state.assign(static_cast<std::size_t>(table->rows * sparse_state_width(table->optimizer.kind, table->dim)),
                       0.0F);
  }
  return shards;
}

struct Drawn {
  std::vector<std::int64_t> users, positives, negatives;
  FactorBatch batch() const { return {users, positives, negatives, 1.0F / static_cast<float>(users.size())}; }
};

Drawn draw(const FactorCase& of, std::uint64_t seed) {
  Drawn drawn;
  const auto id = [&](std::uint64_t purpose, std::int64_t i, std::int64_t rows) {
    return random::below(random::bits(seed, purpose, static_cast<std::uint64_t>(i)), rows);
  };
  for (std::int64_t t = 0; t < of.batch; ++t) {
    drawn.users.push_back(id(1, t, of.users));
    drawn.positives.push_back(id(2, t, of.items));
  }
  for (std::int64_t k = 0; k < of.batch * of.negatives; ++k) drawn.negatives.push_back(id(3, k, of.items));
  return drawn;
}

/// Bytes of a triplet (kernels/cuda/factors.h): its rows read, the user's gradient written, its rows and their states
/// read and written again, its ids and weight.
double bytes_of_triplet(const FactorCase& of) {
  const auto rows = static_cast<double>(2 + of.negatives);
  const auto floats = static_cast<double>(of.dim),
             states = static_cast<double>(sparse_state_width(of.optimizer, of.dim));
  return 4 * (rows * floats + floats + 2 * rows * (floats + states)) + 8 * rows + 4;
}

/// The kernels alone, their triplets on the device.
std::vector<double> time_kernels(const DeviceBenchOptions& options, const FactorCase& of) {
  cuda::Stream stream;
  const auto filled = [&](std::int64_t count) {
    cuda::DeviceBuffer<float> made(count);
    cuda::zero(made.data(), count, stream);
    return made;
  };
  const std::int64_t width = sparse_state_width(of.optimizer, of.dim);
  const auto users = filled(of.users * of.dim), items = filled(of.items * of.dim),
             user_state = filled(of.users * width), item_state = filled(of.items * width);
  const Drawn drawn = draw(of, 1);
  const auto there = [&](std::span<const std::int64_t> ids) { return cuda::to_device<std::int64_t>(ids, stream); };
  const auto user_ids = there(drawn.users), positives = there(drawn.positives), negatives = there(drawn.negatives);
  const cuda::DeviceTriplets triplets{of.batch, of.negatives, user_ids.data(), positives.data(), negatives.data()};
  cuda::FactorSteps steps(
      {users.data(), items.data(), nullptr, user_state.data(), item_state.data(), nullptr, of.users, of.items, of.dim},
      stream);
  cuda::DeviceBuffer<cuda::FactorResult> result(1);
  return time_on(stream, options, [&] {
    steps.bpr({.step = model_of(of).users.optimizer, .decays_rows_once = true}, triplets, result.data(), stream);
  });
}

/// Whole steps, as a run makes them: the next triplets are packed and sent while these are trained.
std::vector<double> time_steps(const DeviceBenchOptions& options, const FactorCase& of) {
  const FactorModel model = model_of(of);
  const std::array drawn{draw(of, 1), draw(of, 2)};
  BprTrainer trainer(model);
  trainer.upload(shards_of(model));
  constexpr int kWarmUp = 5;
  const int steps = options.tiny ? 1 : 40;
  std::vector<double> seconds;
  trainer.stage(1, drawn[1].batch());
  for (int step = 1; step <= kWarmUp + steps; ++step) {
    const auto begin = std::chrono::steady_clock::now();
    trainer.start(step, 1);
    trainer.stage(step + 1, drawn[static_cast<std::size_t>((step + 1) % 2)].batch());
    const FactorOutcome outcome = trainer.finish();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    if (!std::isfinite(outcome.loss) || outcome.bad_row) throw cuda::Failure("the step of BPR went wrong");
    if (step > kWarmUp) seconds.push_back(took.count());
  }
  std::ranges::sort(seconds);
  return seconds;
}

void time_case(const DeviceBenchOptions& options, const FactorCase& of, const DeviceLimits& limits,
               std::vector<DeviceTiming>& timings) {
  const auto add = [&](const char* name, const std::vector<double>& seconds) {
    DeviceTiming& timing = timings.emplace_back(timing_of(
        fmt::format("{}, {}", name, of.optimizer_name),
        fmt::format("{} users, {} items x {}, K={}, B={}", of.users, of.items, of.dim, of.negatives, of.batch),
        "M triplets/s", static_cast<double>(of.batch), 1e6, seconds));
    timing.limit = limits.copy_bytes_per_s / bytes_of_triplet(of) / 1e6;
    timing.limit_name = "copy of its bytes";
  };
  add("bpr step", time_kernels(options, of));
  add("bpr step with its input", time_steps(options, of));
}

}  // namespace

void time_factors(const DeviceBenchOptions& options, const DeviceLimits& limits, std::vector<DeviceTiming>& timings) {
  if (!is_wanted(options, "bpr step")) return;
  if (options.tiny) return time_case(options, {20, 30, 8, 2, 12, Optimizer::adam, "adam"}, limits, timings);
  constexpr std::int64_t kRows = 1 << 20;
  for (const std::int64_t batch : {2048, 65536, 1 << 20})
    time_case(options, {kRows, kRows, 64, 1, batch, Optimizer::rowwise_adagrad, "rowwise_adagrad"}, limits, timings);
  time_case(options, {kRows, kRows, 64, 1, 65536, Optimizer::adam, "adam"}, limits, timings);
  time_case(options, {kRows, kRows, 128, 4, 65536, Optimizer::rowwise_adagrad, "rowwise_adagrad"}, limits, timings);
}

}  // namespace swallowtail
