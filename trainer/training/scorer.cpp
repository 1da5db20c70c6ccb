#include "trainer/training/scorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "parallel/activity.h"
#include "trainer/evaluation/threshold.h"
#include "trainer/training/step.h"

namespace swallowtail {

namespace {

/// Every rank's floats to rank 0, one rank after another.
std::vector<float> gather_to_root(Communicator& ranks, const Tag& tag, const std::vector<float>& mine,
                                  const std::vector<std::int64_t>& counts) {
  const bool root = ranks.rank() == 0;
  const auto bytes = static_cast<std::int64_t>(mine.size() * sizeof(float));
  std::vector<std::int64_t> send_bytes(ranks.world_size(), 0), recv_bytes(ranks.world_size(), 0);
  send_bytes[0] = bytes;
  if (root)
    for (int rank = 0; rank < ranks.world_size(); ++rank)
      recv_bytes[rank] = counts[rank] * static_cast<std::int64_t>(sizeof(float));
  const auto send_offsets = byte_offsets(send_bytes, 1), recv_offsets = byte_offsets(recv_bytes, 1);
  std::vector<float> all(static_cast<std::size_t>(recv_offsets.back()) / sizeof(float));
  ranks.all_to_all(tag, {std::as_bytes(std::span(mine)), send_offsets},
                   {std::as_writable_bytes(std::span(all)), recv_offsets});
  return all;
}

/// From rank-by-rank order (each rank's parts of all batches) to the dataset's order.
std::vector<float> in_dataset_order(const std::vector<float>& gathered,
                                    const std::vector<std::vector<std::int64_t>>& batch_sizes, int world_size) {
  std::vector<float> ordered(gathered.size());
  std::size_t from = 0;
  for (int rank = 0; rank < world_size; ++rank) {
    std::size_t batch_start = 0;
    for (const auto& sizes : batch_sizes) {
      const auto before =
          static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.begin() + rank, std::int64_t{0}));
      std::copy_n(gathered.begin() + static_cast<std::ptrdiff_t>(from), sizes[rank],
                  ordered.begin() + static_cast<std::ptrdiff_t>(batch_start + before));
      from += static_cast<std::size_t>(sizes[rank]);
      batch_start += static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}));
    }
  }
  return ordered;
}

double probability(float logit) {
  const double tail = std::exp(-std::abs(static_cast<double>(logit)));
  return logit >= 0 ? 1 / (1 + tail) : tail / (1 + tail);
}

MetricValue metric_at(std::string_view name, const Predictions& predictions, double threshold) {
  if (name == "accuracy") return accuracy_at(predictions, threshold);
  if (name == "precision") return precision_at(predictions, threshold);
  if (name == "recall") return recall_at(predictions, threshold);
  if (name == "f1") return f1_at(predictions, threshold);
  return find_metric(name).function(predictions);
}

}  // namespace

void check_metric_names(const Experiment& experiment) {
  const auto names = experiment.texts("evaluation.metrics");
  if (names.empty())
    throw experiment.error("evaluation.metrics", "no metric is named",
                           "the first one picks the best checkpoint: name auc");
  const auto check = [&](const char* key, const std::string& name) {
    try {
      find_metric(name);
    } catch (const Error& error) {
      throw experiment.error(key, error.fact(), error.advice());
    }
  };
  for (const std::string& name : names) check("evaluation.metrics", name);
  const bool stops_early = experiment.has("train.early_stopping.metric");
  const char* const key = stops_early ? "train.early_stopping.metric" : "evaluation.metrics";
  const std::string steering = stops_early ? experiment.text(key) : names[0];
  check(key, steering);
  if (std::ranges::find(names, steering) == names.end())
    throw experiment.error(key, fmt::format("'{}' is not computed", steering), "add it to evaluation.metrics");
  if (steering == "calibration")
    throw experiment.error(key, "calibration is best at 1, so it cannot pick the best checkpoint",
                           stops_early ? "use auc, logloss or ne" : "put auc, logloss or ne first");
}

Scores score(Session& session, const Dataset& dataset, std::int64_t step, bool averaged) {
  Communicator& ranks = session.ranks;
  const Experiment& experiment = session.experiment;
  std::int64_t size = dataset.size();
  if (experiment.has("evaluation.max_samples")) size = std::min(size, experiment.integer("evaluation.max_samples"));
  const std::int64_t batch_samples = experiment.has("evaluation.batch_size")
                                         ? experiment.integer("evaluation.batch_size")
                                         : experiment.integer("train.batch_size");
  if (averaged && session.device) session.device->settle(step);
  if (averaged && !session.device) {
    session.embedding.settle(step);
    session.dense.swap_average();
  }
  Batch batch;
  std::vector<float> logits, labels, weights;
  std::vector<std::vector<std::int64_t>> batch_sizes;
  std::vector<std::int64_t> counts(ranks.world_size(), 0), samples;
  for (std::int64_t start = 0; start < size; start += batch_samples) {
    report_activity("evaluation", step);
    const std::int64_t here = std::min(batch_samples, size - start);
    const auto [begin, end] = session.share.rank_samples(here, ranks.rank());
    samples.resize(static_cast<std::size_t>(end - begin));
    std::iota(samples.begin(), samples.end(), start + begin);
    dataset.read(samples, batch);
    const torch::Tensor output = predict_step(session, batch, here, step, averaged).contiguous();
    logits.insert(logits.end(), output.data_ptr<float>(), output.data_ptr<float>() + (end - begin));
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
    weights.insert(weights.end(), batch.weights.begin(), batch.weights.end());
    batch_sizes.push_back(session.share.sizes(here));
    for (int rank = 0; rank < ranks.world_size(); ++rank) counts[rank] += batch_sizes.back()[rank];
  }
  if (averaged && !session.device) session.dense.swap_average();

  const Tag tag{"scores", step};
  std::vector<std::int64_t> weighted{weights.empty() ? 0 : 1};
  ranks.all_reduce_max(tag, std::span(weighted));
  Scores scores;
  const auto all_logits = in_dataset_order(gather_to_root(ranks, tag, logits, counts), batch_sizes,
                                           ranks.rank() == 0 ? ranks.world_size() : 0);
  scores.labels = in_dataset_order(gather_to_root(ranks, tag, labels, counts), batch_sizes,
                                   ranks.rank() == 0 ? ranks.world_size() : 0);
  if (weighted[0] != 0)
    scores.weights = in_dataset_order(gather_to_root(ranks, tag, weights, counts), batch_sizes,
                                      ranks.rank() == 0 ? ranks.world_size() : 0);
  scores.probabilities.reserve(all_logits.size());
  for (std::size_t i = 0; i < all_logits.size(); ++i) {
    if (!std::isfinite(all_logits[i]))
      throw Error{ExitCode::numbers, fmt::format("the score of a sample is not finite after step {}", step),
                  dataset.origin(static_cast<std::int64_t>(i)),
                  "go back to an earlier checkpoint, or lower train.learning_rate"};
    scores.probabilities.push_back(probability(all_logits[i]));
  }
  return scores;
}

MetricValues evaluate_scores(Session& session, const Scores& scores, std::int64_t step) {
  const auto names = session.experiment.texts("evaluation.metrics");
  const double threshold = session.experiment.number("evaluation.threshold");
  std::vector<double> values(names.size(), std::numeric_limits<double>::quiet_NaN());
  if (session.ranks.rank() == 0)
    for (std::size_t i = 0; i < names.size(); ++i)
      values[i] = metric_at(names[i], scores.view(), threshold).value_or(std::numeric_limits<double>::quiet_NaN());
  session.ranks.broadcast(Tag{"metrics", step}, 0, std::as_writable_bytes(std::span(values)));
  MetricValues result;
  for (std::size_t i = 0; i < names.size(); ++i)
    result.emplace_back(names[i], std::isnan(values[i]) ? MetricValue{} : MetricValue{values[i]});
  return result;
}

MetricValues best_reachable(const Dataset& dataset, const std::vector<std::string>& names) {
  if (dataset.size() == 0 || !dataset.true_probability(0)) return {};
  std::vector<double> truth;
  std::vector<float> labels;
  Batch batch;
  std::vector<std::int64_t> sample(1);
  for (sample[0] = 0; sample[0] < dataset.size(); ++sample[0]) {
    dataset.read(sample, batch);
    truth.push_back(*dataset.true_probability(sample[0]));
    labels.push_back(batch.labels[0]);
  }
  return evaluate_metrics(names, {truth, labels, {}});
}

nlohmann::ordered_json to_json(const MetricValues& values) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : values)
    json[name] = value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  return json;
}

}  // namespace swallowtail
