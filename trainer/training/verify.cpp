#include "trainer/training/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>

#include "parallel/all_to_all/all_to_all.h"
#include "parallel/local_communicator.h"
#include "trainer/training/session.h"
#include "trainer/training/step.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr double kFastBound = 1e-5;    // rounding of other orders of summation
constexpr double kNarrowBound = 0.05;  // vectors of 8 to 16 bits on the network

/// Samples in memory, shared by the runs that are compared.
class HeldSamples final : public Dataset {
 public:
  HeldSamples(DataShape shape, std::shared_ptr<const Batch> samples)
      : shape_(std::move(shape)), samples_(std::move(samples)) {}
  const DataShape& shape() const noexcept override { return shape_; }
  std::int64_t size() const noexcept override { return samples_->size; }
  std::string origin(std::int64_t sample) const override { return fmt::format("sample {}", sample); }

  void read(std::span<const std::int64_t> samples, Batch& out) const override {
    const auto rows = [&](const std::vector<float>& from, std::vector<float>& to) {
      const std::int64_t width = samples_->size > 0 ? std::ssize(from) / samples_->size : 0;
      to.clear();
      for (const std::int64_t sample : samples)
        to.insert(to.end(), from.begin() + sample * width, from.begin() + (sample + 1) * width);
    };
    out.size = std::ssize(samples);
    out.samples.assign(samples.begin(), samples.end());
    rows(samples_->dense, out.dense);
    rows(samples_->labels, out.labels);
    rows(samples_->weights, out.weights);
    copy_bags(samples, samples_->ids, out.ids);
    copy_bags(samples, samples_->texts, out.texts);
  }

 private:
  static void copy_bags(std::span<const std::int64_t> samples, const std::vector<JaggedIds>& all,
                        std::vector<JaggedIds>& out) {
    out.resize(all.size());
    for (std::size_t f = 0; f < all.size(); ++f) {
      const JaggedIds& from = all[f];
      JaggedIds& to = out[f];
      to.values.clear();
      to.weights.clear();
      to.offsets.assign(1, 0);
      for (const std::int64_t sample : samples) {
        const auto begin = from.offsets[sample], end = from.offsets[sample + 1];
        to.values.insert(to.values.end(), from.values.begin() + begin, from.values.begin() + end);
        if (!from.weights.empty())
          to.weights.insert(to.weights.end(), from.weights.begin() + begin, from.weights.begin() + end);
        to.offsets.push_back(std::ssize(to.values));
      }
    }
  }

  DataShape shape_;
  std::shared_ptr<const Batch> samples_;
};

struct Samples {
  DataShape shape;
  std::shared_ptr<const Batch> samples;
};

/// The first batches of the training part, one more than is trained on.
Samples read_samples(const Experiment& experiment, std::int64_t steps, Communicator& ranks) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("swallowtail-verify-{}", getppid());
  Samples held;
  {
    const Data data = open_data(experiment, folder, ranks);
    const std::int64_t wanted = (steps + 1) * experiment.integer("train.batch_size");
    std::vector<std::int64_t> samples(static_cast<std::size_t>(std::min(data.train->size(), wanted)));
    if (samples.empty())
      throw experiment.error("data.train", "the training data have no sample", "check the files and data.on_bad_row");
    std::iota(samples.begin(), samples.end(), 0);
    auto batch = std::make_shared<Batch>();
    data.train->read(samples, *batch);
    held = {data.train->shape(), std::move(batch)};
    ranks.barrier(Tag{"verify: samples", 0});
  }
  if (ranks.rank() == 0) fs::remove_all(folder);
  return held;
}

/// What a run leaves behind: whole arrays by name, the same on every rank.
using Snapshot = std::map<std::string, std::vector<double>>;

class Runner {
 public:
  Runner(const Experiment& experiment, const Samples& samples, Communicator& ranks)
      : session_(experiment,
                 Data{.train = std::make_unique<HeldSamples>(samples.shape, samples.samples),
                      .validation = {},
                      .test = {},
                      .rows_read = 0,
                      .rows_quarantined = 0,
                      .fingerprint = {}},
                 ranks),
        batch_samples_(std::min(experiment.integer("train.batch_size"), samples.samples->size)) {}

  Snapshot run(std::int64_t steps) {
    PhaseClock clock;
    Batch batch, next;
    std::int64_t size = read_batch(1, batch);
    for (std::int64_t step = 1; step <= steps; ++step) {  // as the training loop goes: the next batch's ids meanwhile
      StepInput input{batch, size, step, 1.0};
      const std::int64_t next_size = read_batch(step + 1, next);
      if (step < steps) input.next.emplace(NextBatch{next, next_size});
      snapshot_["loss"].push_back(train_step(session_, input, clock).loss);
      std::swap(batch, next);
      size = next_size;
    }
    session_.embedding.settle(steps);
    dense_arrays();
    table_arrays();
    logits(steps, batch);
    return std::move(snapshot_);
  }

 private:
  /// This rank's part of the batch of `step`; batches go round where the data are few. Returns the global size.
  std::int64_t read_batch(std::int64_t step, Batch& batch) {
    const std::int64_t all = session_.data.train->size();
    const std::int64_t start = (step - 1) * batch_samples_ % all;
    const std::int64_t size = std::min(batch_samples_, all - start);
    const auto [begin, end] = session_.share.rank_samples(size, session_.ranks.rank());
    std::vector<std::int64_t> samples(static_cast<std::size_t>(end - begin));
    std::iota(samples.begin(), samples.end(), start + begin);
    session_.data.train->read(samples, batch);
    return size;
  }

  void dense_arrays() {
    const auto keep = [this](const char* name, std::span<const float> values) {
      if (!values.empty()) snapshot_[name].assign(values.begin(), values.end());
    };
    keep("dense weights", session_.dense.weights());
    keep("dense gradient", session_.dense.gradient());
    keep("dense optimizer state", session_.dense.state());
    keep("dense average", session_.dense.average());
  }

  /// Places this rank's part of an array and adds up the ranks' parts, of which at most one is not zero in a place.
  template <typename Place>
  void whole(const std::string& name, std::int64_t size, Place place) {
    std::vector<double> array(static_cast<std::size_t>(size), 0.0);
    place(array);
    session_.ranks.all_reduce_sum(Tag{"verify: tables", 0}, std::span(array));
    if (size > 0) snapshot_[name] = std::move(array);
  }

  void table_arrays() {
    for (std::size_t t = 0; t < session_.tables.size(); ++t) {
      const EmbeddingTable& table = session_.tables[t];
      const Sharding sharding = session_.embedding.plan().tables[t].sharding;
      const auto shards = session_.embedding.shards();
      const auto own = std::ranges::find(shards, static_cast<std::int64_t>(t), &TableShard::table);
      const TableShard* shard = own == shards.end() ? nullptr : &*own;
      const bool is_copy = sharding == Sharding::data_parallel && session_.ranks.rank() != 0;
      // `planes` runs of the shard's columns a row; 0: one value a row, which every column shard holds alike.
      const auto array = [&](const std::string& name, std::int64_t planes, const TableVector<float>* values) {
        const std::int64_t width = planes == 0 ? 1 : planes * table.dim;
        whole(fmt::format("table {} {}", table.name, name), table.rows * width, [&](std::vector<double>& out) {
          if (!shard || is_copy || (planes == 0 && shard->shard.first_col != 0)) return;
          const std::int64_t cols = shard->shard.cols;
          for (std::int64_t i = 0; i < shard->shard.rows; ++i) {
            if (planes == 0) out[static_cast<std::size_t>(shard->row_at(i))] = (*values)[static_cast<std::size_t>(i)];
            for (std::int64_t p = 0; p < planes; ++p)
              std::copy_n(values->begin() + (i * planes + p) * cols, cols,
                          out.begin() + shard->row_at(i) * width + p * table.dim + shard->shard.first_col);
          }
        });
      };
      array("weights", 1, shard ? &shard->weights : nullptr);
      const Optimizer kind = table.optimizer.kind;
      if (kind != Optimizer::sgd)
        array("optimizer state", kind == Optimizer::rowwise_adagrad ? 0 : sparse_state_width(kind, 1),
              shard ? &shard->state : nullptr);
      if (session_.averaging) array("average", 1, shard ? &shard->average : nullptr);
      if (sharding == Sharding::data_parallel) check_copies(table, *shard);
    }
  }

  /// Copies of a table that drifted apart show as a difference of an array that is all zero otherwise.
  void check_copies(const EmbeddingTable& table, const TableShard& shard) {
    const std::vector<double>& first = snapshot_[fmt::format("table {} weights", table.name)];
    std::vector<std::int64_t> differing{0};
    for (std::size_t i = 0; i < first.size(); ++i) differing[0] += first[i] != static_cast<double>(shard.weights[i]);
    session_.ranks.all_reduce_sum(Tag{"verify: copies", 0}, std::span(differing));
    if (differing[0] > 0)
      throw Error{ExitCode::numbers,
                  fmt::format("copies of a data-parallel table differ in {} values over ranks", differing[0]),
                  fmt::format("table '{}'", table.name), "report this: it is a bug"};
  }

  void logits(std::int64_t steps, Batch& batch) {
    const std::int64_t size = read_batch(steps + 1, batch);
    const torch::Tensor mine = predict_step(session_, batch, size, steps + 1, false).contiguous();
    const std::int64_t width = mine.size(1), first = session_.share.rank_samples(size, session_.ranks.rank()).first;
    whole("logits", size * width, [&](std::vector<double>& out) {
      std::copy_n(mine.data_ptr<float>(), mine.numel(), out.begin() + first * width);
    });
  }

  Session session_;
  std::int64_t batch_samples_;
  Snapshot snapshot_;
};

struct Difference {
  bool bitwise = true;
  double relative = 0;
  std::string worst;  // where it is largest
};

/// `only_outputs`: losses and logits alone decide (optimizer states magnify what a narrow wire rounds off).
Difference compare(const Snapshot& one, const Snapshot& many, bool only_outputs) {
  Difference difference;
  for (const auto& [name, wanted] : one) {
    if (only_outputs && name != "loss" && name != "logits") continue;
    const auto found = many.find(name);
    if (found == many.end() || found->second.size() != wanted.size()) return {false, 1e300, name + " is missing"};
    double largest = 0, gap = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      largest = std::max(largest, std::abs(wanted[i]));
      const double here = std::abs(wanted[i] - found->second[i]);
      if (!(here <= gap)) {  // a NaN too
        gap = here;
        at = i;
      }
    }
    if (gap == 0) continue;
    difference.bitwise = false;
    const double relative = largest > 0 ? gap / largest : 1e300;
    if (!(relative <= difference.relative)) {
      difference.relative = std::isfinite(relative) ? relative : 1e300;
      difference.worst =
          fmt::format("{}[{}]: {:.9g} on one rank, {:.9g} on many", name, at, wanted[at], found->second[at]);
    }
  }
  return difference;
}

std::vector<std::vector<std::string>> variants(const Experiment& experiment, const VerifyRequest& request) {
  // What auto takes may change from run to run, the bits may not: a short look will do.
  const std::string quick = "parallel.measure_s=0.01";
  std::vector<std::vector<std::string>> all{{quick}};
  if (request.every_sharding)
    for (const char* sharding : {"table_wise", "row_wise", "column_wise", "table_row_wise", "data_parallel"})
      if (experiment.text("embedding.sharding") != sharding)
        all.push_back({quick, fmt::format("embedding.sharding={}", sharding)});
  if (request.every_exchange)
    for (const AllToAllEntry& algorithm : all_to_all_algorithms())
      if (experiment.text("parallel.all_to_all") != algorithm.name)
        all.push_back({quick, fmt::format("parallel.all_to_all={}", algorithm.name)});
  return all;
}

}  // namespace

json verify(const Experiment& experiment, const VerifyRequest& request, Communicator& ranks) {
  const Samples samples = read_samples(experiment, request.steps, ranks);
  const std::string wire = experiment.text("parallel.wire");
  const bool is_fp32 = wire == "fp32" && (!experiment.has("parallel.wire_backward") ||
                                          experiment.text("parallel.wire_backward") == "fp32");
  const bool is_exact = experiment.boolean("train.deterministic") && is_fp32;
  const double bound = is_exact ? 0 : is_fp32 ? kFastBound : kNarrowBound;

  // Under mpirun rank 0 trains alone while the others wait; as threads every world size is a run of its own.
  Snapshot one;
  if (ranks.rank() == 0) {
    const auto alone = make_single_rank();
    one = Runner(experiment, samples, *alone).run(request.steps);
  }
  ranks.barrier(Tag{"verify: one rank", 0});
  json cases = json::array();
  bool equal = true, bitwise = true;
  double largest = 0;
  for (const auto& overrides : variants(experiment, request)) {
    const Experiment variant = Experiment::parse(experiment.to_yaml(), overrides);
    const auto judge = [&](const Snapshot& many, int world_size) {
      const Difference difference = compare(one, many, !is_fp32);
      const bool is_equal = is_exact ? difference.bitwise : difference.relative <= bound;
      equal = equal && is_equal;
      bitwise = bitwise && difference.bitwise;
      largest = std::max(largest, difference.relative);
      cases.push_back({{"ranks", world_size},
                       {"sharding", variant.text("embedding.sharding")},
                       {"all_to_all", variant.text("parallel.all_to_all")},
                       {"equal", is_equal},
                       {"bitwise", difference.bitwise},
                       {"max_relative_difference", difference.relative},
                       {"worst", difference.worst}});
    };
    if (ranks.world_size() > 1) {
      const Snapshot many = Runner(variant, samples, ranks).run(request.steps);
      if (ranks.rank() == 0) judge(many, ranks.world_size());
      continue;
    }
    for (const int world_size : request.world_sizes) {
      Snapshot many;
      run_ranks(world_size, [&](Communicator& threads) {
        Snapshot mine = Runner(variant, samples, threads).run(request.steps);
        if (threads.rank() == 0) many = std::move(mine);
      });
      judge(many, world_size);
    }
  }
  std::string text = json{{"equal", equal}, {"bitwise", bitwise},     {"max_relative_difference", largest},
                          {"bound", bound}, {"steps", request.steps}, {"cases", cases}}
                         .dump();
  std::vector<std::int64_t> size{std::ssize(text)};
  ranks.broadcast(Tag{"verify: result", 0}, 0, std::as_writable_bytes(std::span(size)));
  text.resize(static_cast<std::size_t>(size[0]));
  ranks.broadcast(Tag{"verify: result", 0}, 0, std::as_writable_bytes(std::span(text)));
  return json::parse(text);
}

}  // namespace swallowtail
