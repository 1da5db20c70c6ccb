#include "trainer/training/step_probe.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "kernels/random.h"
#include "parallel/all_to_all/measure_costs.h"
#include "trainer/embedding/plan_tables.h"
#include "trainer/training/step.h"
#include "trainer/training/threads.h"

namespace swallowtail {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kProbe_s = 0.12;          // of one probe
constexpr std::size_t kMostRepeats = 400;  // in one
constexpr std::int64_t kMostTableBytes = std::int64_t{96} << 20;
constexpr std::int64_t kFewRows = 64, kCachedRows = 2048;  // tables that lie in cache
constexpr std::int64_t kLongBag = 16;
constexpr std::uint64_t kBatches = 8;
constexpr std::int64_t kCopyBytes = std::int64_t{8} << 20;

/// Ids of `bags` bags of `length` ids each, uniform over the rows; others for every `draw`.
JaggedIds random_bags(std::int64_t rows, std::int64_t bags, std::int64_t length, std::uint64_t draw) {
  JaggedIds ids;
  ids.offsets.push_back(0);
  for (std::int64_t i = 0; i < bags * length; ++i)
    ids.values.push_back(static_cast<std::int64_t>(random::bits(7, draw, static_cast<std::uint64_t>(i)) %
                                                   static_cast<std::uint64_t>(rows)));
  for (std::int64_t bag = 1; bag <= bags; ++bag) ids.offsets.push_back(bag * length);
  return ids;
}

/// A batch after the other, so that the rows of the one before are not in cache because of it.
std::vector<JaggedIds> random_batches(std::int64_t rows, std::int64_t bags, std::int64_t length) {
  std::vector<JaggedIds> batches;
  for (std::uint64_t draw = 0; draw < kBatches; ++draw) batches.push_back(random_bags(rows, bags, length, draw));
  return batches;
}

JaggedView view(const JaggedIds& ids) { return {ids.values, ids.offsets, {}}; }

class Probe {
 public:
  explicit Probe(Session& session)
      : session_(session),
        ranks_(session.ranks),
        batch_(session.experiment.integer("train.batch_size")),
        local_(session.share.sizes(batch_)[static_cast<std::size_t>(ranks_.rank())]) {}

  StepConstants run() {
    StepConstants constants;
    EmbeddingCosts& embedding = constants.embedding;
    embedding.batch = static_cast<double>(batch_);
    embedding.world_size = ranks_.world_size();
    embedding.exact = session_.experiment.boolean("train.deterministic");
    embedding.deduplicates = true;
    const auto wire = [&](const char* key) {
      constexpr std::int64_t kMany = 1 << 16;
      const Experiment& experiment = session_.experiment;
      const std::string name = experiment.text(experiment.has(key) ? key : "parallel.wire");
      return static_cast<double>(wire_bytes(*parse_wire(name), 1, kMany)) / kMany;
    };
    embedding.forward_bytes = wire("parallel.wire");
    embedding.backward_bytes = wire("parallel.wire_backward");
    if (ranks_.world_size() > 1) {
      constants.exchange = measure_costs(ranks_, 0.5);
      const std::string algorithm = session_.experiment.text("parallel.all_to_all");
      if (algorithm != "auto") constants.algorithm = algorithm;
    }
    constants.copy_byte_s = copy();
    table_rates(embedding);
    dense(constants);
    ids(constants);
    constants.data_s = data();
    return constants;
  }

 private:
  /// Seconds of one undisturbed call, the largest of all ranks.
  template <typename Call>
  double time(Call call) {
    call();
    ranks_.barrier(Tag{"step probe", 0});
    std::vector<double> seconds;
    const auto start = Clock::now();
    do {
      const auto before = Clock::now();
      call();
      seconds.push_back(std::chrono::duration<double>(Clock::now() - before).count());
    } while (seconds.size() < kMostRepeats && std::chrono::duration<double>(Clock::now() - start).count() < kProbe_s);
    return agreed(undisturbed(std::move(seconds)));
  }

  /// The same for calls that all ranks make together: as many on each.
  template <typename Call>
  double time_together(Call call) {
    call();
    const auto before = Clock::now();
    call();
    const double once = agreed(std::chrono::duration<double>(Clock::now() - before).count());
    std::vector<double> seconds;
    for (auto left = std::clamp(static_cast<int>(kProbe_s / once), 5, 100); left > 0; --left) {
      const auto start = Clock::now();
      call();
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    return agreed(undisturbed(std::move(seconds)));
  }

  /// The lower quartile: what is left after the calls that others on the machine have disturbed.
  static double undisturbed(std::vector<double> of) {
    const auto quarter = of.begin() + std::ssize(of) / 4;
    std::ranges::nth_element(of, quarter);
    return *quarter;
  }

  double agreed(double seconds) {
    auto ns = static_cast<std::int64_t>(seconds * 1e9);
    ranks_.all_reduce_max(Tag{"step probe", 0}, {&ns, 1});
    return std::max(1e-9, static_cast<double>(ns) * 1e-9);
  }

  /// Seconds a byte of vectors that are packed or placed, with the zeros that the place is filled with before.
  double copy() {
    const std::int64_t dim = session_.experiment.integer("model.embedding_dim");
    const std::int64_t rows = std::max<std::int64_t>(1, kCopyBytes / (4 * dim));
    std::vector<float> from(static_cast<std::size_t>(rows * dim), 1.0F), to(from.size());
    const double seconds = time([&] {
      std::ranges::fill(to, 0.0F);
      for (std::int64_t row = 0; row < rows; ++row) std::copy_n(from.data() + row * dim, dim, to.data() + row * dim);
    });
    return seconds / static_cast<double>(4 * rows * dim);
  }

  /// Rates of lookup and update, of rows in cache and in memory.
  void table_rates(EmbeddingCosts& costs) {
    const auto& tables = session_.tables;
    if (tables.empty()) return;
    EmbeddingTable table =
        *std::ranges::max_element(tables, {}, [](const EmbeddingTable& of) { return of.rows * of.dim; });
    double ids = 0;
    for (const EmbeddingTable& of : tables) ids += of.mean_ids / static_cast<double>(tables.size());
    const std::int64_t lookups =
        std::clamp<std::int64_t>(static_cast<std::int64_t>(ids * static_cast<double>(batch_)), 1024, 32768);
    const std::int64_t state = sparse_state_width(table.optimizer.kind, table.dim);
    const std::int64_t most_rows = kMostTableBytes / (4 * (table.dim + state)) / std::max(1, ranks_.node_local_ranks());
    // As many rows as all tables have together, which share the cache as these do.
    std::int64_t floats = 0;
    for (const EmbeddingTable& of : tables)
      floats += of.rows * (of.dim + sparse_state_width(of.optimizer.kind, of.dim)) / ranks_.world_size();
    const std::int64_t large = std::max(kCachedRows, std::min(floats / (table.dim + state), most_rows));
    const auto row_bytes = static_cast<double>(4 * table.dim);

    const auto shard_of = [&](std::int64_t rows) {
      table.rows = rows;
      return make_shard(table, 0, {ranks_.rank(), 0, rows, 0, table.dim}, RowOrder::as_they_stand(rows), 1, false);
    };
    const auto lookup = [&](const TableShard& shard, std::int64_t bags, std::int64_t length) {
      const auto batches = random_batches(shard.shard.rows, bags, length);
      std::vector<float> out(static_cast<std::size_t>(bags * table.dim));
      std::size_t call = 0;
      return time([&] {
        pooled_lookup_forward({shard.weights.data(), shard.shard.rows, table.dim}, view(batches[call++ % kBatches]),
                              Pooling::sum, out.data());
      });
    };
    TableShard few = shard_of(kFewRows), cached = shard_of(kCachedRows), whole = shard_of(large);
    const std::int64_t bags = std::max<std::int64_t>(lookups / kLongBag, 64);
    const double short_bags = lookup(cached, lookups, 1), long_bags = lookup(cached, bags, kLongBag);
    // short = lookups * (bag + id), long = bags * (bag + 16 * id).
    const double one = short_bags / static_cast<double>(lookups), many = long_bags / static_cast<double>(bags);
    const double id_s = std::max(0.0, (many - one) / (kLongBag - 1));
    costs.bag_s = std::max(0.0, one - id_s);
    costs.granule_bytes = 4;
    costs.cached_byte_s = id_s / row_bytes;
    costs.lookup_byte_s =
        std::max(id_s, (lookup(whole, bags, kLongBag) / static_cast<double>(bags) - costs.bag_s) / kLongBag) /
        row_bytes;
    const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    const double held = std::max(1.0, static_cast<double>(tables.size()) / ranks_.world_size());
    costs.cache_bytes = (cache > 0 ? static_cast<double>(cache) : 4e6) / ranks_.node_local_ranks() / held;

    std::vector<float> gradients(static_cast<std::size_t>(lookups * table.dim), 1e-6F);
    const auto update = [&](TableShard& shard, double& touched) {
      table.rows = shard.shard.rows;
      const auto batches = random_batches(shard.shard.rows, lookups, 1);
      std::size_t call = 0;
      std::vector<const float*> pointers;
      for (std::int64_t i = 0; i < lookups; ++i) pointers.push_back(gradients.data() + i * table.dim);
      OptimizerStep step = table.optimizer;
      RowGroups groups;
      const double seconds = time([&] {
        ++step.step;
        group_by_row(view(batches[call++ % kBatches]), shard.shard.rows, Pooling::sum, groups);
        update_shard(table, shard, step, {}, groups, pointers);
      });
      touched = static_cast<double>(groups.rows.size());
      return seconds;
    };
    double few_rows = 0, cached_rows = 0, whole_rows = 0;
    const double few_s = update(few, few_rows), cached_s = update(cached, cached_rows),
                 whole_s = update(whole, whole_rows);
    // few = lookups * id + few_rows * row, cached likewise with more rows.
    const double row_s = std::max(0.0, (cached_s - few_s) / (cached_rows - few_rows));
    costs.update_id_s = std::max(0.0, few_s - few_rows * row_s) / static_cast<double>(lookups);
    const double touched_bytes = 2 * (row_bytes + 4.0 * static_cast<double>(state));
    costs.update_row_s = std::max(0.0, row_s - touched_bytes * costs.cached_byte_s);
    const double far_row_s = (whole_s - static_cast<double>(lookups) * costs.update_id_s) / whole_rows;
    costs.update_byte_s = std::max(costs.cached_byte_s, (far_row_s - costs.update_row_s) / touched_bytes);
  }

  /// Forward and backward of the model on one chunk.
  double model_seconds(std::int64_t samples) {
    const auto dense = static_cast<std::int64_t>(session_.data.train->shape().dense.size());
    const torch::Tensor features = torch::rand({samples, dense});
    std::vector<torch::Tensor> vectors;
    for (const EmbeddingTable& table : session_.tables) {
      const auto count = table.pooling == Pooling::none ? static_cast<std::int64_t>(table.mean_ids) : 1;
      vectors.push_back(torch::rand({samples * count, table.dim}));
    }
    std::vector<float> logits(static_cast<std::size_t>(samples)), gradient(logits.size()), labels(logits.size(), 1.0F);
    return time([&] {
      ModelInput input;
      input.training = true;
      input.dense = features;
      input.bottom = session_.model->bottom(input);
      for (const torch::Tensor& vector : vectors) input.pooled.push_back(vector.detach().requires_grad_(true));
      const torch::Tensor output = session_.model->forward(input);
      const torch::Tensor flat = output.detach().contiguous();
      std::copy_n(flat.data_ptr<float>(), samples, logits.data());
      loss_sum(session_.loss, logits, labels, {}, 1.0, gradient);
      output.backward(torch::from_blob(gradient.data(), {samples, 1}));
    });
  }

  /// The model's time, and that of a step which trains one sample a rank: latencies, the dense reduction and update.
  void dense(StepConstants& constants) {
    const auto [first, end] = session_.share.rank_chunks(batch_, ranks_.rank());
    const std::int64_t chunks = session_.share.chunks(batch_);
    const auto [begin_sample, end_sample] = session_.share.chunk_samples(batch_, std::min(first, chunks - 1));
    const double chunk_s = model_seconds(std::max<std::int64_t>(1, end_sample - begin_sample));
    const double sample_s = model_seconds(1);
    const bool exact = session_.share.deterministic();
    // In fixed order every chunk's gradients are added apart from the others'.
    const double tree_s = exact ? 3 * 4.0 * static_cast<double>(session_.dense.size()) * constants.copy_byte_s : 0;
    const double all_s = agreed(static_cast<double>(end - first) * (chunk_s + tree_s)) - sample_s;
    session_.dense.zero_gradient();
    // By operations a third is forward; only the sum counts where nothing overlaps.
    constants.forward_s = all_s / 3;
    constants.backward_s = all_s * 2 / 3;

    const std::int64_t world_size = ranks_.world_size();
    const auto [from, to] = session_.share.rank_samples(world_size, ranks_.rank());
    std::vector<std::int64_t> samples(static_cast<std::size_t>(to - from));
    std::iota(samples.begin(), samples.end(), from);
    Batch batch;
    session_.data.train->read(samples, batch);
    constants.overhead_s = time_together([&] {
      PhaseClock clock;
      train_step(session_, {batch, world_size, ++step_, 1.0}, clock);
    });
  }

  /// The input exchange grows with the ids: its slope between two small batches.
  void ids(StepConstants& constants) {
    const auto exchange = [&](std::int64_t global, double& bytes) {
      const auto [from, to] = session_.share.rank_samples(global, ranks_.rank());
      std::vector<std::int64_t> samples(static_cast<std::size_t>(to - from));
      std::iota(samples.begin(), samples.end(), from);
      Batch batch;
      session_.data.train->read(samples, batch);
      const auto sizes = session_.share.sizes(global);
      EmbeddingCosts costs = constants.embedding;
      costs.batch = static_cast<double>(global);
      for (const ShardCost& rank : rank_costs(table_specs(session_.tables), session_.embedding.plan(), costs))
        bytes = std::max(bytes, rank.input_bytes);
      return time_together([&] { session_.embedding.exchange_input(batch, sizes, ++step_); });
    };
    const std::int64_t samples = session_.data.train->size(), world_size = ranks_.world_size();
    const std::int64_t small = std::max(world_size, std::min(samples, batch_) / 8),
                       large = std::max(small + 1, std::min(samples, batch_) / 2);
    double small_bytes = 0, large_bytes = 0;
    const double small_s = exchange(small, small_bytes), large_s = exchange(large, large_bytes);
    constants.id_byte_s = std::max(1e-12, (large_s - small_s) / std::max(1.0, large_bytes - small_bytes));
  }

  /// Making a batch, as far as it takes cores from those that train.
  double data() {
    std::vector<std::int64_t> samples(static_cast<std::size_t>(std::min(local_, session_.data.train->size())));
    std::iota(samples.begin(), samples.end(), std::int64_t{0});
    Batch batch;
    const double seconds = time([&] { session_.data.train->read(samples, batch); });
    const double threads = ranks_.node_local_ranks(), cores = cores_of_ranks(ranks_);
    return seconds * std::min(1.0, threads / cores);
  }

  Session& session_;
  Communicator& ranks_;
  std::int64_t batch_, local_, step_ = 0;
};

}  // namespace

StepConstants probe_step(Session& session) { return Probe(session).run(); }

StepConstants mean_of(const StepConstants& a, const StepConstants& b) {
  StepConstants mean = a;
  for (double EmbeddingCosts::*rate :
       {&EmbeddingCosts::bag_s, &EmbeddingCosts::lookup_byte_s, &EmbeddingCosts::cached_byte_s,
        &EmbeddingCosts::update_id_s, &EmbeddingCosts::update_row_s, &EmbeddingCosts::update_byte_s})
    mean.embedding.*rate = (a.embedding.*rate + b.embedding.*rate) / 2;
  for (double StepConstants::*time : {&StepConstants::copy_byte_s, &StepConstants::id_byte_s, &StepConstants::forward_s,
                                      &StepConstants::backward_s, &StepConstants::overhead_s, &StepConstants::data_s})
    mean.*time = (a.*time + b.*time) / 2;
  return mean;
}

}  // namespace swallowtail
