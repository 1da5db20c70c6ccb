// train_ranking(), evaluate_ranking() and recommend(): a ranking run from the experiment to its files, and from the run
// to figures and lists.
#include "trainer/training/ranking.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "trainer/checkpoint/named_step.h"
#include "trainer/files/durable_file.h"
#include "trainer/ranking/composed_ranker.h"
#include "trainer/report/machine.h"
#include "trainer/sap/ablations.h"
#include "trainer/training/memory_bill.h"
#include "trainer/training/opened_run.h"
#include "trainer/training/ranking_device.h"
#include "trainer/training/ranking_loop.h"
#include "trainer/training/ranking_run.h"
#include "trainer/training/recommendation_examples.h"
#include "trainer/training/run_files.h"
#include "trainer/training/sap_workshop.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr std::int64_t kLongestOfCurves = 50;

void check_source(const Experiment& experiment) {
  if (experiment.text("data.source") != "interactions")
    throw experiment.error("data.source", fmt::format("{} ranks interactions", experiment.text("model.type")),
                           "set data.source: interactions");
}

/// Collective: user, item, place, scores after the product layer and after the graph, who proposed it ("fill": nobody),
/// and what each component says of it.
void write_pools(const RecommendRequest& request, std::span<const RankingQuery> queries, RankingSession& session) {
  constexpr std::size_t kUsersAtOnce = 64;
  const auto* const composed = dynamic_cast<const ComposedRanker*>(session.model.get());
  if (composed == nullptr)
    throw Error{ExitCode::usage, fmt::format("{} has no pool", session.experiment.text("model.type")), "command line",
                "--pool is for runs of model.type: sap"};
  const auto names = composed->component_names();
  std::string text = "user\titem\tplace\tproduct\tgraph\tsources";
  for (const std::string& name : names) text += '\t' + name;
  text += '\n';
  for (std::size_t first = 0; first < queries.size(); first += kUsersAtOnce) {
    const auto block = queries.subspan(first, std::min(kUsersAtOnce, queries.size() - first));
    const auto pools = composed->pools(block);
    for (std::size_t row = 0; row < pools.size(); ++row)
      for (const PoolLine& line : pools[row]) {
        std::string sources;
        for (const std::size_t component : line.sources) sources += (sources.empty() ? "" : ",") + names[component];
        text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}", request.users[first + row], session.data.items.name(line.item),
                            line.place, line.weighed, line.reranked, sources.empty() ? "fill" : sources);
        for (const float score : line.scores) text += fmt::format("\t{}", score);
        text += '\n';
      }
  }
  if (session.ranks.rank() == 0) write_atomically(request.pool, text);
  session.ranks.barrier(Tag{"pools"});
}

/// Beside the whole, under a name of its own, unless the user gave a folder.
Experiment named_after(const Experiment& experiment, const std::string& part) {
  if (experiment.text("model.type") != "sap")
    throw Error{ExitCode::usage, "--ablate is for model.type: sap", "command line", "leave it out"};
  if (experiment.has("run.dir")) return experiment;
  return Experiment::parse(experiment.to_yaml(), {"name=" + json(experiment.text("name") + "-" + part).dump()});
}

json bill_of(RankingSession& session) {
  ShardedEmbedding* const embedding = session.model->embedding();
  const ShardingPlan no_tables{.world_size = session.ranks.world_size(), .tables = {}};
  std::int64_t replicated = 0;
  for (const RankerState& state : session.model->state())
    replicated += static_cast<std::int64_t>(state.bytes.size() / sizeof(float));
  return memory_bill(session.experiment,
                     {.tables = embedding ? embedding->tables() : std::span<const EmbeddingTable>{},
                      .plan = embedding ? embedding->plan() : no_tables,
                      .dense_parameters = replicated},
                     session.ranks);
}

json dry_run(const Experiment& experiment, Communicator& ranks) {
  const fs::path folder = fs::temp_directory_path() / fmt::format("swallowtail-dry-run-{}", getppid());
  json bill;
  {
    RankingSession session(experiment, open_interactions(experiment, folder, ranks), ranks);
    bill = bill_of(session);
    bill["rows_read"] = session.data.rows_read;
    bill["rows_quarantined"] = session.data.rows_quarantined;
    bill["samples"] = session.data.train.size();
    ranks.barrier(Tag{"dry run", 0});
  }
  if (ranks.rank() == 0) fs::remove_all(folder);
  return bill;
}

std::optional<Checkpoint> resume(RankingSession& session, const fs::path& folder, bool strict, RunReport& report) {
  std::vector<std::string> complaints;
  auto checkpoint =
      restore_newest(folder / "checkpoints", session.ranks,
                     [&](const Checkpoint& good) { restore_ranking(good, session); }, complaints, {.strict = strict});
  for (const std::string& complaint : complaints) report.note(complaint);
  if (!checkpoint) {
    report.note("there is no checkpoint yet: starting at step 0");
    return checkpoint;
  }
  if (checkpoint->state().at("data").get<std::string>() != session.data.fingerprint)
    throw Error{ExitCode::data, "the data have changed since the checkpoint was saved", folder.string(),
                "restore the data files, or start again with --force"};
  report.note(fmt::format("resuming after step {}", checkpoint->step()));
  return checkpoint;
}

RunOrigin origin_of(const RankingSession& session, const std::string& command) {
  json tables = json::array();
  if (ShardedEmbedding* const embedding = session.model->embedding())
    for (std::size_t t = 0; t < embedding->tables().size(); ++t)
      tables.push_back({{"name", embedding->tables()[t].name},
                        {"rows", embedding->tables()[t].rows},
                        {"dim", embedding->tables()[t].dim},
                        {"sharding", name_of(embedding->plan().tables[t].sharding)}});
  return {command, session.experiment.to_yaml(), session.data.fingerprint,
          tables,  session.ranks.world_size(),   session.experiment.integer("seed")};
}

void load_best(RankingSession& session, const RunState& state, const fs::path& folder) {
  if (state.best_step < 0 || state.best_step == state.step) return;
  const auto steps = checkpoint_steps(folder / "checkpoints");
  if (std::ranges::find(steps, state.best_step) == steps.end()) return;
  restore_ranking(Checkpoint::open(folder / "checkpoints", state.best_step), session);
}

json slices_json(const RankingResult& result) {
  json slices = json::object();
  for (const RankingSlice& slice : result.slices)
    slices[slice.name] = {{"users", slice.users}, {"metrics", to_json(slice.metrics)}};
  return slices;
}

/// {"k": [1, 2, …], "ndcg": […], …} of values named "ndcg@1", …
json curves_json(const RankingValues& by_length) {
  json curves = json::object();
  for (const auto& [name, value] : by_length) {
    const auto at = name.find('@');
    const std::int64_t length = std::stoll(name.substr(at + 1));
    if (curves["k"].empty() || curves["k"].back() != length) curves["k"].push_back(length);
    curves[name.substr(0, at)].push_back(value ? json(*value) : json(nullptr));
  }
  return curves;
}

std::string lists_text(const Interactions& data, std::span<const std::string> users,
                       const std::vector<std::span<const std::int64_t>>& lists) {
  std::string text = "user\titems\n";
  for (std::size_t row = 0; row < users.size(); ++row) {
    text += users[row] + '\t';
    for (std::size_t place = 0; place < lists[row].size(); ++place) {
      const std::string& item = data.items.name(lists[row][place]);
      if (item.find_first_of(" \t\r\n") != std::string::npos)
        throw Error{ExitCode::usage,
                    fmt::format("the item id '{}' holds a blank, which separates items in the file", item),
                    {},
                    "take the lists from recommend --json"};
      text += (place == 0 ? "" : " ") + item;
    }
    text += '\n';
  }
  return text;
}

}  // namespace

OpenedRun open_ranking_run(const fs::path& run_dir, const std::string& checkpoint,
                           const std::vector<std::string>& overrides, Communicator& ranks) {
  const fs::path file = run_dir / "experiment.yaml";
  if (!fs::exists(file))
    throw Error{ExitCode::usage, "there is no run here", run_dir.string(),
                "name the run's directory, such as runs/bpr_mf"};
  const Experiment experiment = Experiment::load(file, overrides);
  if (!is_ranking(experiment))
    throw Error{ExitCode::usage, fmt::format("the run's model, {}, ranks no items", experiment.text("model.type")),
                run_dir.string(), "name a run of a ranking model"};
  const std::int64_t step = named_step(run_dir / "checkpoints", checkpoint);
  return {open_trained(experiment, open_interactions(experiment, run_dir, ranks, InteractionsFrom::run), run_dir,
                       fmt::format("step-{}", step), ranks),
          step};
}

json train_ranking(const Experiment& from, const TrainRequest& request, Communicator& ranks) {
  check_source(from);
  choose_device_for_ranking(from, ranks);  // a refusal comes before the data are read
  const Experiment asked = request.ablate.empty() ? from : named_after(from, request.ablate);
  Experiment experiment = with_components(asked);
  if (!request.ablate.empty())
    experiment = Experiment::parse(experiment.to_yaml(), find_ablation(experiment, request.ablate).overrides);
  if (request.dry_run) return dry_run(experiment, ranks);
  const fs::path folder = run_folder(asked);
  return train_ranking_run(experiment, folder, request, ranks,
                           [&] {
                             const bool is_linked = link_prepared(request.prepared, folder, ranks);
                             return open_interactions(
                                 asked, folder, ranks,
                                 request.resume || is_linked ? InteractionsFrom::either : InteractionsFrom::sources);
                           })
      .summary;
}

TrainedRanking train_ranking_run(const Experiment& experiment, const fs::path& folder, const TrainRequest& request,
                                 Communicator& ranks, const std::function<Interactions()>& open) {
  const auto start = std::chrono::steady_clock::now();
  DeviceChoice device = choose_device_for_ranking(experiment, ranks);
  const auto directory = open_run(folder, experiment, request, ranks);
  auto own_session = std::make_unique<RankingSession>(experiment, open(), ranks, RunPlace{folder, request.quiet});
  RankingSession& session = *own_session;
  steering_metric(session);
  const json bill = bill_of(session);
  refuse_what_does_not_fit(bill);

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
    ledger.begin(origin_of(session, request.command), resumed);
  }
  use_device_for_ranking(session, device);
  report.begin(request.resume ? std::optional(state.step) : std::nullopt);
  if (!device.note.empty()) report.note(device.note);
  for (const std::string& note : session.data.notes) report.note(note);
  PhaseClock clock;
  RankingLoop loop(session, report, clock, ledger, folder);
  loop.run(state);
  report.finish_progress();

  session.model->leave_device();
  load_best(session, state, folder);
  const std::int64_t best_step = state.best_step < 0 ? state.step : state.best_step;
  ordered_json summary;
  summary["experiment"] = experiment.text("name");
  summary["command"] = request.command;
  summary["world_size"] = ranks.world_size();
  summary["device"] = device.name;
  summary["seed"] = experiment.integer("seed");
  summary["steps"] = state.step;
  summary["samples"] = state.samples;
  summary["seconds"] = 0.0;
  summary["samples_per_s"] = loop.figures().samples_per_s;
  summary["peak_rss_bytes"] = 0;
  summary["parameters"] = session.model->parameters();
  std::int64_t embedding_rows = 0;
  if (ShardedEmbedding* const embedding = session.model->embedding())
    for (const EmbeddingTable& table : embedding->tables()) embedding_rows += table.rows;
  summary["embedding_rows"] = embedding_rows;
  const Interactions& data = session.data;
  summary["rows_read"] = data.rows_read;
  summary["rows_quarantined"] = data.rows_quarantined;
  summary["interactions"] = {{"users", data.users.size()},        {"items", data.items.size()},
                             {"train", data.train.size()},        {"validation", data.validation.size()},
                             {"test", data.test.size()},          {"below_min_rating", data.rows_below_min_rating},
                             {"duplicates", data.rows_duplicate}, {"filtered", data.rows_filtered}};
  summary["train"] = {{"loss", loop.figures().epoch_loss}, {"last_loss", loop.figures().last_loss}};

  std::vector<ScoredSplit> scored;
  ordered_json slices, protocol, curves;
  session.model->prepare_scores();
  for (const auto& [split, part] : {std::pair("validation", RankedPart::validation), {"test", RankedPart::test}}) {
    if (!(part == RankedPart::test ? data.has_test() : data.has_validation())) continue;
    const auto timed = clock.time(StepPhase::evaluation);
    const RankingResult result = rank_part(session, part, kLongestOfCurves);
    summary[split] = to_json(result.metrics);
    slices[split] = slices_json(result);
    protocol[split] = result.protocol;
    curves[split] = curves_json(result.by_length);
    scored.push_back({split, result.metrics, {}});
    if (part == RankedPart::test)
      for (const RankingSlice& slice : result.slices)
        if (slice.users > 0) scored.insert(scored.begin(), {fmt::format("test, {}", slice.name), slice.metrics, {}});
  }
  summary["slices"] = slices;
  summary["protocol"] = protocol;
  summary["curves"] = curves;
  if (const auto* const composed = dynamic_cast<const ComposedRanker*>(session.model.get())) {
    const auto facts = composed->facts();  // items() only refers to it
    for (const auto& [key, value] : facts.items()) summary[key] = value;
  }
  summary["examples"] = recommendation_examples(session);
  summary["best_step"] = best_step;
  summary["checkpoint"] =
      experiment.boolean("checkpoint.enabled") ? json(fmt::format("checkpoints/step-{}", best_step)) : json(nullptr);
  summary["failed_saves"] = loop.figures().failed_saves;
  summary["memory_bill"] = bill;
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase)
    summary["phases"][std::string(kPhaseNames[phase])] = clock.seconds(static_cast<StepPhase>(phase));
  summary["machine"] = to_json(machine_facts());
  summary["peak_rss_bytes"] = peak_rss_bytes(ranks);
  summary["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (root) {
    const std::string text = summary.dump(2) + "\n";
    write_atomically(folder / "summary.json", text);
    ledger.end(state, text);
    if (experiment.boolean("report.html")) report.write_page(summary, experiment.to_yaml(), scored, clock);
  }
  return {std::move(own_session), std::move(summary)};
}

std::unique_ptr<RankingSession> open_trained(const Experiment& experiment, Interactions data, const fs::path& folder,
                                             const std::string& checkpoint, Communicator& ranks) {
  auto session = std::make_unique<RankingSession>(experiment, std::move(data), ranks, RunPlace{folder, true});
  restore_ranking(Checkpoint::open(folder / "checkpoints", named_step(folder / "checkpoints", checkpoint)), *session);
  session->model->prepare_scores();
  return session;
}

json evaluate_ranking(const EvaluateRequest& request, Communicator& ranks) {
  if (!request.data.empty() || !request.predictions.empty())
    throw Error{ExitCode::usage, "--data and --predictions are for click models, and this run ranks items",
                "command line", "use --rankings FILE, or train with data.test=FILE"};
  const auto [session, step] = open_ranking_run(request.run_dir, request.checkpoint, request.overrides, ranks);
  std::vector<std::string> splits = request.splits;
  if (splits.empty()) {
    if (session->data.has_validation()) splits.push_back("validation");
    if (session->data.has_test()) splits.push_back("test");
  }
  json metrics = json::object(), slices = json::object(), protocol = json::object();
  for (const std::string& split : splits) {
    const bool is_test = split == "test";
    if (!(is_test ? session->data.has_test() : split == "validation" && session->data.has_validation()))
      throw Error{ExitCode::usage, fmt::format("the run has no {} data to rank", split), request.run_dir.string(),
                  "name validation or test, as far as the run has them"};
    const RankingResult result = rank_part(*session, is_test ? RankedPart::test : RankedPart::validation);
    metrics[split] = to_json(result.metrics);
    slices[split] = slices_json(result);
    protocol[split] = result.protocol;
    if (request.rankings.empty() || split != splits.back() || ranks.rank() != 0) continue;
    std::vector<std::string> users;
    std::vector<std::span<const std::int64_t>> lists;
    for (std::size_t row = 0; row < result.users.size(); ++row) {
      users.push_back(session->data.users.name(result.users[row]));
      lists.push_back(result.lists.of(static_cast<std::int64_t>(row)));
    }
    write_atomically(request.rankings, lists_text(session->data, users, lists));
  }
  ranks.barrier(Tag{"evaluated", step});
  return {{"run", request.run_dir.string()},
          {"checkpoint", fmt::format("step-{}", step)},
          {"metrics", metrics},
          {"slices", slices},
          {"protocol", protocol}};
}

json recommend(const RecommendRequest& request, Communicator& ranks) {
  const auto [session, step] = open_ranking_run(request.run_dir, request.checkpoint, {}, ranks);
  const Interactions& data = session->data;
  std::vector<std::vector<std::int64_t>> known;
  std::vector<RankingQuery> queries;
  for (const std::string& name : request.users) {
    const std::int64_t user = data.users.find(name);
    known.push_back(user == kColdId ? std::vector<std::int64_t>() : joined(user, {&data.train, &data.validation}));
    queries.push_back({user, {}});
  }
  for (std::size_t q = 0; q < queries.size(); ++q) queries[q].history = known[q];
  if (!request.pool.empty()) {
    write_pools(request, queries, *session);
    if (request.out.empty())
      return {{"pool", request.pool.string()}, {"users", json::array()}, {"lists", request.users.size()}};
  }
  const auto answers = recommend_items(*session, queries, known, request.k);

  if (!request.out.empty()) {
    std::vector<std::span<const std::int64_t>> lists;
    for (const Recommendation& answer : answers) lists.emplace_back(answer.items);
    if (ranks.rank() == 0) write_atomically(request.out, lists_text(data, request.users, lists));
    ranks.barrier(Tag{"recommended", step});
    return {{"out", request.out.string()}, {"users", json::array()}, {"lists", request.users.size()}};
  }
  json all = json::array();
  for (std::size_t q = 0; q < answers.size(); ++q) {
    json items = json::array();
    for (std::size_t place = 0; place < answers[q].items.size(); ++place) {
      const std::int64_t item = answers[q].items[place];
      json reasons = json::array();
      if (!answers[q].by_popularity)
        for (const Ranker::Reason& reason : session->model->reasons(queries[q], item))
          reasons.push_back({{"item", data.items.name(reason.item)}, {"share", reason.share}});
      if (const auto* const composed = dynamic_cast<const ComposedRanker*>(session->model.get()))
        for (const auto& [component, share] : composed->shares(queries[q], item))
          reasons.push_back({{"component", component}, {"share", share}});
      items.push_back({{"item", data.items.name(item)}, {"score", answers[q].scores[place]}, {"reasons", reasons}});
    }
    all.push_back({{"user", request.users[q]}, {"items", items}, {"by_popularity", answers[q].by_popularity}});
  }
  return all.size() == 1 ? all[0] : json{{"users", all}};
}

}  // namespace swallowtail
