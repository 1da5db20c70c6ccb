// train(): what DESIGN section 5 promises of a run, from the experiment to summary.json.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "trainer/files/durable_file.h"
#include "trainer/planning/run_plan.h"
#include "trainer/report/machine.h"
#include "trainer/report/metrics_log.h"
#include "trainer/training/autograd_pass.h"
#include "trainer/training/device_run.h"
#include "trainer/training/memory_bill.h"
#include "trainer/training/run_files.h"
#include "trainer/training/run_ledger.h"
#include "trainer/training/run_report.h"
#include "trainer/training/session.h"
#include "trainer/training/training.h"
#include "trainer/training/training_loop.h"
#include "trainer/training/word_start.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

/// The bill, before any table is allocated: it must refuse what the allocation would die of.
json bill_of(const Experiment& experiment, const DataShape& shape, Communicator& ranks) {
  const auto tables = find_model(experiment).embedding_tables(experiment, shape);
  const ShardingPlan plan = plan_run(experiment, shape, tables, ranks);
  std::int64_t parameters = 0;
  const auto model = find_model(experiment).make(experiment, shape, tables);
  for (const auto& parameter : model->parameters()) parameters += parameter.numel();
  const std::int64_t dense = std::ssize(shape.dense);
  return memory_bill(experiment,
                     {.tables = tables,
                      .plan = plan,
                      .dense_parameters = parameters,
                      .dense_features = dense,
                      .activations = dense_pass_of(experiment, *model, tables, dense)->floats_a_sample()},
                     ranks);
}

/// Everything is read and checked in a folder of its own, which is removed afterwards.
json dry_run(const Experiment& experiment, Communicator& ranks) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("swallowtail-dry-run-{}", getppid());
  json bill;
  {
    const Data data = open_data(experiment, folder, ranks);
    bill = bill_of(experiment, data.train->shape(), ranks);
    bill["rows_read"] = data.rows_read;
    bill["rows_quarantined"] = data.rows_quarantined;
    bill["samples"] = data.train->size();
    ranks.barrier(Tag{"dry run", 0});
  }
  if (ranks.rank() == 0) fs::remove_all(folder);
  return bill;
}

/// Fills the session from the newest good checkpoint; nothing where the run has none yet.
std::optional<Checkpoint> resume(Session& session, const fs::path& folder, bool strict, RunReport& report) {
  std::vector<std::string> complaints;
  auto checkpoint = restore_newest(folder / "checkpoints", session.ranks,
                                   [&](const Checkpoint& good) { restore(good, session.dense, session.embedding); },
                                   complaints, {.strict = strict});
  for (const std::string& complaint : complaints) report.note(complaint);
  if (!checkpoint) {
    report.note("there is no checkpoint yet: starting at step 0");
    return {};
  }
  if (checkpoint->state().at("data").get<std::string>() != session.data.fingerprint)
    throw Error{ExitCode::data, "the data have changed since the checkpoint was saved", folder.string(),
                "restore the data files, or start again with --force"};
  report.note(fmt::format("resuming after step {}", checkpoint->step()));
  send_to_device(session);
  return checkpoint;
}

/// Weights of the best validation, where the run has one and it was saved.
void load_best(Session& session, const RunState& state, const fs::path& folder) {
  if (state.best_step < 0 || state.best_step == state.step) return;
  const auto steps = checkpoint_steps(folder / "checkpoints");
  if (std::ranges::find(steps, state.best_step) == steps.end()) return;
  restore(Checkpoint::open(folder / "checkpoints", state.best_step), session.dense, session.embedding);
  send_to_device(session);
}

ordered_json exchange_json(const Session& session, const LoopFigures& figures) {
  ordered_json exchange;
  // Vectors in devices' memory go by NCCL; ids, and all else, as chosen.
  const bool is_on_devices = session.device && session.ranks.world_size() > 1;
  exchange["algorithm"] = is_on_devices ? std::string_view("nccl") : session.embedding.pooled_algorithm();
  exchange["choice"] = session.embedding.all_to_all().describe();
  exchange["bytes_per_step"] = figures.steps_here > 0 ? figures.bytes_sent / figures.steps_here : 0;
  exchange["exposed_fraction"] = figures.train_seconds > 0 ? figures.exchange_seconds / figures.train_seconds : 0.0;
  return exchange;
}

/// What became of the rows that batches wanted, by table; for the log in one line.
json row_cache_json(const Session& session, RunReport& report) {
  json caches = json::array();
  std::string text;
  if (session.device)
    for (const RowCacheUse& use : session.device->row_caches()) {
      const EmbeddingTable& table = session.tables[static_cast<std::size_t>(use.table)];
      const double wanted = static_cast<double>(std::max<std::int64_t>(1, use.hits + use.misses));
      const double hit_rate = static_cast<double>(use.hits) / wanted;
      caches.push_back({{"table", table.name},
                        {"rows", table.rows},
                        {"slots", use.slots},
                        {"hits", use.hits},
                        {"misses", use.misses},
                        {"written_back", use.written_back},
                        {"hit_rate", hit_rate}});
      text += fmt::format("{} '{}' {:.3f}", text.empty() ? "" : ",", table.name, hit_rate);
    }
  if (!text.empty()) report.note("row caches, rows of a batch that were there:" + text);
  return caches;
}

}  // namespace

json train(const Experiment& experiment, const TrainRequest& request, Communicator& ranks) {
  const auto start = std::chrono::steady_clock::now();
  check_metric_names(experiment);
  const DeviceChoice choice = choose_device(experiment, ranks);
  if (request.dry_run) return dry_run(experiment, ranks);
  const fs::path folder = run_folder(experiment);
  const auto directory = open_run(folder, experiment, request, ranks);
  const bool is_linked = link_prepared(request.prepared, folder, ranks);
  Data data = open_data(experiment, folder, ranks, request.resume || is_linked);
  if (data.train->size() == 0)
    throw experiment.error("data.train", "the training data have no sample", "check the files and data.on_bad_row");
  const json bill = bill_of(experiment, data.train->shape(), ranks);
  refuse_what_does_not_fit(bill);
  Session session(experiment, std::move(data), ranks, choice);

  const bool root = ranks.rank() == 0;
  RunReport report({.run_dir = folder,
                    .writes = root,
                    .quiet = request.quiet,
                    .tensorboard = experiment.boolean("report.tensorboard")});
  RunLedger ledger(folder, experiment, root);
  RunState state;
  {
    std::optional<Checkpoint> resumed;
    if (request.resume) resumed = resume(session, folder, request.strict, report);
    if (resumed) state = run_state_from_json(resumed->state());
    if (!resumed) start_words(session);
    ledger.begin(origin_of(session, request.command), resumed);
  }
  report.begin(request.resume ? std::optional(state.step) : std::nullopt);
  if (!session.choice.note.empty()) report.note(session.choice.note);
  if (ranks.world_size() > 1)
    report.note(fmt::format("all_to_all {}: {}", experiment.text("parallel.all_to_all"),
                            session.embedding.all_to_all().describe()));
  std::optional<Trace> trace;
  if (experiment.boolean("report.trace")) trace.emplace(experiment.integer("report.trace_steps"), ranks);
  PhaseClock clock(trace ? &*trace : nullptr);
  TrainingLoop loop(session, report, clock, ledger, folder);
  loop.run(state);
  report.finish_progress();

  load_best(session, state, folder);
  const std::int64_t best_step = state.best_step < 0 ? state.step : state.best_step;
  ordered_json summary;
  summary["experiment"] = experiment.text("name");
  summary["command"] = request.command;
  summary["world_size"] = ranks.world_size();
  summary["device"] = session.choice.name;
  summary["seed"] = experiment.integer("seed");
  summary["steps"] = state.step;
  summary["samples"] = state.samples;
  summary["seconds"] = 0.0;
  summary["samples_per_s"] = loop.figures().steady_samples_per_s;
  summary["peak_rss_bytes"] = 0;
  std::int64_t embedding_rows = 0, embedding_weights = 0;
  for (const EmbeddingTable& table : session.tables) {
    embedding_rows += table.rows;
    embedding_weights += table.rows * table.dim;
  }
  summary["parameters"] = session.dense.size() + embedding_weights;
  summary["embedding_rows"] = embedding_rows;
  summary["rows_read"] = session.data.rows_read;
  summary["rows_quarantined"] = session.data.rows_quarantined;
  summary["train"] = {{"loss", loop.figures().epoch_loss},
                      {"last_loss", loop.figures().last_loss},
                      {"skipped_steps", loop.figures().skipped_steps}};

  std::vector<ScoredSplit> scored;
  for (const std::string split : {"validation", "test"}) {
    const auto& dataset = split == "test" ? session.data.test : session.data.validation;
    if (!dataset) continue;
    const auto timed = clock.time(StepPhase::evaluation);
    const MetricValues best = root ? best_reachable(*dataset, experiment.texts("evaluation.metrics")) : MetricValues{};
    if (!best.empty()) {
      summary[split + "_best_reachable"] = to_json(best);
      scored.push_back({split + ", best reachable", best, {}});
    }
    for (const bool averaged : session.averaging ? std::vector{false, true} : std::vector{false}) {
      // The averaged weights, where there are any, are the model that the run is about; the raw ones stand beside it.
      const bool aside = session.averaging && !averaged;
      Scores scores = score(session, *dataset, best_step, averaged);
      const MetricValues values = evaluate_scores(session, scores, best_step);
      summary[aside ? split + "_raw" : split] = to_json(values);
      scored.push_back({aside ? split + ", raw weights" : split, values, std::move(scores)});
    }
  }
  summary["best_step"] = best_step;
  summary["checkpoint"] =
      experiment.boolean("checkpoint.enabled") ? json(fmt::format("checkpoints/step-{}", best_step)) : json(nullptr);
  summary["failed_saves"] = loop.figures().failed_saves;
  summary["exchange"] = exchange_json(session, loop.figures());
  if (const json caches = row_cache_json(session, report); !caches.empty()) summary["row_caches"] = caches;
  summary["memory_bill"] = bill;
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase)
    summary["phases"][std::string(kPhaseNames[phase])] = clock.seconds(static_cast<StepPhase>(phase));
  // Of rank 0's time in steps: what its loader did not have ready.
  const double train_s = loop.figures().train_seconds;
  summary["data_wait_fraction"] = train_s > 0 ? clock.seconds(StepPhase::data) / train_s : 0.0;
  if (trace) trace->write(folder / "trace.json", kPhaseNames, ranks);
  summary["machine"] = to_json(machine_facts());
  summary["peak_rss_bytes"] = peak_rss_bytes(ranks);
  summary["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (root) {
    const std::string text = summary.dump(2) + "\n";
    write_atomically(folder / "summary.json", text);
    ledger.end(state, text);
    if (experiment.boolean("report.html")) report.write_page(summary, experiment.to_yaml(), scored, clock);
  }
  return summary;
}

}  // namespace swallowtail
