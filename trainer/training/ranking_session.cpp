#include "trainer/training/ranking_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "trainer/sap/sap.h"
#include "trainer/training/ranking_models.h"
#include "trainer/training/sap_workshop.h"
#include "trainer/training/table_pieces.h"
#include "trainer/training/threads.h"

namespace swallowtail {
namespace {

std::int64_t longest_of(const std::vector<std::string>& metrics) {
  std::int64_t longest = 1;
  for (const std::string& name : metrics)
    longest = std::max<std::int64_t>(longest, std::stoll(name.substr(name.find('@') + 1)));
  return longest;
}

}  // namespace

std::vector<std::string> metrics_of_ranking(const Experiment& experiment) {
  // The schema's default is that of click models, and a run's experiment.yaml says it as if somebody had set it.
  static const std::vector<std::string> kOfClickModels{"auc", "logloss", "ne", "calibration", "accuracy"};
  std::vector<std::string> names = experiment.texts("evaluation.metrics");
  if (names == kOfClickModels) names.assign(ranking_metrics().begin(), ranking_metrics().end());
  try {
    const auto expanded = expand_ranking_metrics(names, experiment.integers("evaluation.k"));
    if (expanded.empty()) throw Error{ExitCode::usage, "no metric is named", {}, "name at least one"};
    return expanded;
  } catch (const Error& error) {
    throw experiment.error("evaluation.metrics", error.fact(), error.advice());
  }
}

RankingSession::RankingSession(const Experiment& from, Interactions opened, Communicator& all_ranks,
                               const RunPlace& run)
    : experiment(from),
      ranks((set_threads(from, all_ranks), all_ranks)),
      data(std::move(opened)),
      metrics(metrics_of_ranking(experiment)),
      longest(longest_of(metrics)),
      model(experiment.text("model.type") == "sap"
                ? make_sap({experiment, data, ranks}, make_sap_workshop({experiment, data, ranks}, run))
                : make_ranker({experiment, data, ranks})) {}

std::vector<TensorRef> ranking_tensors(RankingSession& session) {
  session.model->fetch_from_device();
  std::vector<TensorRef> tensors;
  if (ShardedEmbedding* const embedding = session.model->embedding())
    tensors = table_pieces(*embedding, session.ranks.rank());
  if (session.ranks.rank() != 0) return tensors;
  for (const RankerState& state : session.model->state())
    tensors.push_back({state.name, state.dtype, state.shape, state.bytes});
  return tensors;
}

void restore_ranking(const Checkpoint& checkpoint, RankingSession& session) {
  if (ShardedEmbedding* const embedding = session.model->embedding()) restore_tables(checkpoint, *embedding);
  for (const RankerState& state : session.model->state()) checkpoint.read(state.name, state.bytes);
}

}  // namespace swallowtail
