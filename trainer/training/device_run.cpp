#include "trainer/training/device_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "trainer/device/on_device.h"
#include "trainer/training/bad_loss.h"
#include "trainer/training/row_cache_choice.h"

namespace swallowtail {

namespace {

/// What of the experiment no device can do, as an error at its key; nothing where all can be done.
std::optional<Error> obstacle(const Experiment& experiment) {
  const auto cannot = [&](const char* key, const char* what, const char* advice) {
    return experiment.error(key, fmt::format("{} on a device", what), advice);
  };
  if (experiment.text("model.type") != "dlrm")
    return cannot("model.type", "only model.type: dlrm and bpr_mf train", "set parallel.device: cpu");
  if (experiment.boolean("train.deterministic"))
    return cannot("train.deterministic", "the same bits on any number of ranks are not promised",
                  "leave train.deterministic out (a device repeats its own bits), or set parallel.device: cpu");
  if (experiment.boolean("train.autograd"))
    return cannot("train.autograd", "LibTorch's autograd does not run", "set parallel.device: cpu");
  if (experiment.number("train.average_decay") > 0 && !experiment.has("train.max_steps") &&
      experiment.integer("train.epochs") > (std::int64_t{1} << 29))
    return cannot("train.epochs", "weight averages count fewer than 2^30 steps", "set fewer epochs");
  return {};
}

int place_on_node(const Communicator& ranks) {
  const auto nodes = ranks.node_of();
  const int mine = nodes[static_cast<std::size_t>(ranks.rank())];
  return static_cast<int>(std::count(nodes.begin(), nodes.begin() + ranks.rank(), mine));
}

DeviceChoice on_cpu(const Experiment& experiment, const std::string& why) {
  if (experiment.text("train.precision") != "fp32")
    throw experiment.error(
        "train.precision",
        fmt::format("train.precision: {} is a device's, and the run is on the CPU", experiment.text("train.precision")),
        "set train.precision: fp32, or parallel.device: cuda where there is one");
  return {.note = why};
}

/// Numbers that went bad on the device, in the words of the CPU's step.
[[noreturn]] void throw_bad(Session& session, const StepInput& input, const DeviceOutcome& outcome,
                            const std::vector<float>& logits) {
  if (!std::ranges::all_of(outcome.losses, [](double loss) { return std::isfinite(loss); }))
    throw_bad_loss(session, input, outcome.losses, logits);
  if (outcome.bad_parameter) {
    const auto entries = session.dense.entries();
    const auto found = std::ranges::find_if(entries, [&](const DenseParameters::Entry& entry) {
      return *outcome.bad_parameter >= entry.first && *outcome.bad_parameter < entry.first + entry.size;
    });
    throw Error{ExitCode::numbers, fmt::format("the gradient is not finite in step {}", input.step),
                "parameter " + (found == entries.end() ? std::string("padding") : found->name),
                "lower train.learning_rate or set train.gradient_clip_norm"};
  }
  refuse_row(session.tables[static_cast<std::size_t>(outcome.bad_row->table)], outcome.bad_row->row, input.step);
}

/// The device's failures as the program's errors.
template <typename Work>
auto on_device(const Session& session, const Work& work) {
  return swallowtail::on_device(session.choice.device, work);
}

class DevicePass final : public DensePass {
 public:
  DevicePass(Session& session, const DeviceModel& model)
      : session_(session),
        features_(model.network.dense),
        dense_(device_backend()->dense(model, session.choice.device)) {}
  std::int64_t floats_a_sample() const override { return 1; }  // the others lie on the device
  void begin(const DenseInput& input) override {
    input_ = input;
    if (input.fresh) session_.dense.zero_gradient();
  }
  void bottom(std::int64_t, std::int64_t) override {}  // with the rest: the parameters are sent once
  double train(std::int64_t begin, std::int64_t end, std::span<const float* const> pooled,
               std::span<float* const> pooled_gradients, float* logits, const StepHooks& hooks) override {
    const auto from = [&](auto* data, std::size_t table) { return data + begin * session_.tables[table].dim; };
    std::vector<const float*> vectors;
    std::vector<float*> gradients;
    for (std::size_t t = 0; t < pooled.size(); ++t) {
      vectors.push_back(from(pooled[t], t));
      gradients.push_back(from(pooled_gradients[t], t));
    }
    logit_gradients_.resize(static_cast<std::size_t>(end - begin));
    return on_device(session_, [&] {
      dense_->begin(session_.dense.weights(), end - begin, input_.dense + begin * features_, input_.step,
                    input_.first_sample + begin);
      dense_->forward(vectors, true, logits);
      const double loss = hooks.loss(begin, end, logits, logit_gradients_.data());
      hooks.progress();
      dense_->backward(logit_gradients_.data(), gradients, session_.dense.gradient());
      return loss;
    });
  }

 private:
  Session& session_;
  std::int64_t features_;
  std::unique_ptr<DeviceDense> dense_;
  DenseInput input_;
  std::vector<float> logit_gradients_;
};

cuda::Precision precision_of(const Experiment& experiment) {
  const std::string name = experiment.text("train.precision");
  if (name == "tf32") return cuda::Precision::tf32;
  if (name == "bf16") return cuda::Precision::bf16;
  return name == "fp16" ? cuda::Precision::fp16 : cuda::Precision::fp32;
}

/// Errors: usage where the model has no part for devices.
DeviceModel device_model(Session& session) {
  const Experiment& experiment = session.experiment;
  DeviceModel model;
  const auto network = session.model->network(session.dense.weights().data());
  const bool fits = network && std::ranges::all_of(session.tables, [&](const EmbeddingTable& table) {
                      return table.dim <= 1024 && table.pooling != Pooling::none;
                    });
  if (!fits)
    throw experiment.error("parallel.device",
                           "a device trains DLRM with one label and tables of model.embedding_dim, 1024 at most",
                           "give all tables the same dim, or set parallel.device: cpu");
  model.tables = session.tables;
  model.network = *network;
  model.parameters = session.dense.size();
  model.optimizer = session.dense.optimizer();
  model.average_decay = experiment.number("train.average_decay");
  model.clip_norm = experiment.number("train.gradient_clip_norm");
  model.precision = precision_of(experiment);
  model.loss = {session.loss.mse, session.loss.negative_weight, session.loss.positive_weight,
                session.loss.label_smoothing};
  if (experiment.has("train.loss_scale")) model.loss_scale = experiment.number("train.loss_scale");
  model.seed = session.seed;
  model.skips_bad_steps = experiment.text("train.on_nonfinite") == "skip";
  model.records_graphs = experiment.boolean("parallel.cuda_graphs");
  if (experiment.text("parallel.device_cache_eviction") == "lru") model.cache_eviction = cuda::Eviction::least_recent;
  return model;
}

/// Of the vectors that the own shards exchange for a batch of the run's size: once where they are looked up, sent and
/// received each way.
double vector_bytes(Session& session) {
  double columns = 0;
  for (const TableShard& shard : session.embedding.shards()) columns += static_cast<double>(shard.shard.cols);
  return 4 * 5 * columns * static_cast<double>(session.experiment.integer("train.batch_size"));
}

/// Why the tables of several ranks stay on the host, the same on every rank; empty: each rank's shards go to its
/// device.
std::string why_tables_stay(Session& session) {
  Communicator& ranks = session.ranks;
  enum Obstacle : std::int64_t { nothing, shared_device, memory };
  Obstacle mine = nothing;
  if (table_bytes(session.embedding.shards()) + vector_bytes(session) > free_device_bytes(session)) mine = memory;
  if (ranks.node_local_ranks() > device_backend()->count()) mine = shared_device;
  std::vector<std::int64_t> worst{mine};
  ranks.all_reduce_max(Tag{"device memory"}, std::span(worst));
  if (worst[0] == shared_device) return "a machine has more ranks than devices, and NCCL wants one each";
  if (worst[0] == memory) return "the shards of a rank do not fit its device's memory";
  return {};
}

HostParameters host_arrays(Session& session) {
  return {session.dense.weights(), session.dense.state(), session.dense.average(), session.embedding.shards()};
}

}  // namespace

DeviceChoice choose_device(const Experiment& experiment, Communicator& ranks) {
  const std::string asked = experiment.text("parallel.device");
  if (asked == "cpu") return on_cpu(experiment, "");
  const bool must = asked == "cuda";
  const DeviceBackend* const backend = device_backend();
  bool all_have_devices = true;  // ranks train alike
  if (backend && ranks.world_size() > 1) {
    std::vector<std::int64_t> lacks{backend->count() == 0 ? 1 : 0};
    ranks.all_reduce_max(Tag{"devices"}, std::span(lacks));
    all_have_devices = lacks[0] == 0;
  }
  const int count = devices_here(experiment);
  if (count == 0) return on_cpu(experiment, why_no_device_here());
  if (const auto error = obstacle(experiment)) {
    if (must) throw *error;
    return on_cpu(experiment, fmt::format("device: cpu ({})", error->fact()));
  }
  if (!all_have_devices) return on_cpu(experiment, "device: cpu (another rank has no CUDA device)");
  DeviceChoice choice{.on_device = true, .device = place_on_node(ranks) % count};
  choice.name = "cuda: " + backend->name(choice.device);
  choice.note = fmt::format("device: {}, the whole step", choice.name);  // several ranks: see use_device
  return choice;
}

void use_device(Session& session) {
  DeviceModel model;
  try {
    model = device_model(session);
  } catch (const Error& error) {
    if (session.experiment.text("parallel.device") == "cuda") throw;
    session.choice = on_cpu(session.experiment, fmt::format("device: cpu ({})", error.fact()));
    return;
  }
  on_device(session, [&] {
    const DeviceBackend& backend = *device_backend();
    DeviceChoice& choice = session.choice;
    if (session.ranks.world_size() == 1) {
      model.cache_slots = choose_row_caches(session, model);
      if (const std::string caches = name_row_caches(session, model.cache_slots); !caches.empty())
        choice.note += fmt::format("; rows in host memory, cached on the device: {}", caches);
      session.device = backend.trainer(model, choice.device);
      return;
    }
    const std::string why = why_tables_stay(session);
    if (why.empty()) {
      session.embedding.hand_over_to_devices();
      const DeviceRanksOptions ranks{session.embedding, session.ranks, session.experiment.number("parallel.timeout_s")};
      session.device = backend.sharded(model, ranks, choice.device);
      choice.note = fmt::format("device: {}, the whole step; each rank's shards of the tables in its device's memory",
                                choice.name);
    } else {
      session.pass = std::make_unique<DevicePass>(session, model);
      choice.note = fmt::format("device: {}, the dense part; tables and exchanges on the host ({})", choice.name, why);
    }
  });
  send_to_device(session);
}

StepOutcome device_train_step(Session& session, const StepInput& input, PhaseClock& clock) {
  clock.begin_step(input.step);
  const auto timed = clock.time(StepPhase::forward_backward);
  const std::vector<std::int64_t> sizes = session.share.sizes(input.batch_samples);
  std::vector<std::int64_t> next_sizes;
  if (input.next) next_sizes = session.share.sizes(input.next->batch_samples);
  const DeviceOutcome done = on_device(session, [&] {
    return session.device->step({.batch = input.batch,
                                 .batch_sizes = sizes,
                                 .step = input.step,
                                 .rate_factor = input.rate_factor,
                                 .stop_requested = input.stop_requested,
                                 .next = input.next ? &input.next->batch : nullptr,
                                 .next_sizes = next_sizes});
  });
  const double loss_sum = std::reduce(done.losses.begin(), done.losses.end());
  StepOutcome outcome{.loss = loss_sum / static_cast<double>(input.batch_samples),
                      .stop_requested = done.stop_requested,
                      .skipped = !done.updated};
  if (done.new_scale) outcome.note = fmt::format("loss scale {:g} after step {}", *done.new_scale, input.step);
  const bool is_bad = !std::isfinite(loss_sum) || done.bad_parameter || done.bad_row;
  // A step that only the loss scale made bad is no error: the scale has shrunk.
  if (is_bad && !(outcome.skipped && (session.experiment.text("train.on_nonfinite") == "skip" || done.new_scale)))
    throw_bad(session, input, done, on_device(session, [&] { return session.device->logits(); }));
  return outcome;
}

std::vector<float> device_predict(Session& session, const Batch& batch, std::int64_t batch_samples, std::int64_t step,
                                  bool averaged) {
  const std::vector<std::int64_t> sizes = session.share.sizes(batch_samples);
  return on_device(session, [&] { return session.device->predict({batch, sizes, step, averaged}); });
}

void fetch_from_device(Session& session) {
  if (session.device) on_device(session, [&] { session.device->download(host_arrays(session)); });
}
void send_to_device(Session& session) {
  if (session.device) on_device(session, [&] { session.device->upload(host_arrays(session)); });
}

}  // namespace swallowtail
