#include "trainer/training/plan.h"

#include <fmt/format.h>

#include "trainer/config/cluster_file.h"
#include "trainer/data/prepared_layout.h"
#include "trainer/data/synthetic.h"
#include "trainer/files/durable_file.h"
#include "trainer/models/model.h"
#include "trainer/planning/cluster_plan.h"
#include "trainer/planning/published.h"
#include "trainer/training/validate_steps.h"

namespace swallowtail {

namespace fs = std::filesystem;

namespace {

DataShape shape_without_data(const Experiment& experiment) {
  if (experiment.text("data.source") == "synthetic") return make_synthetic(experiment, 0, "train")->shape();
  const fs::path folder = (experiment.has("run.dir") ? experiment.path("run.dir")
                                                     : fs::absolute(fs::path("runs") / experiment.text("name"))) /
                          "prepared";
  if (!fs::exists(manifest_path(folder, "train")))
    throw Error{ExitCode::data, "the tables of these data are not known before they have been prepared",
                folder.string(), "train the experiment once, or describe its tables with data.source: synthetic"};
  return read_manifest(folder, "train").shape;
}

ClusterPlan plan_of(const Experiment& experiment, const DataShape& shape, const Cluster& cluster, int world_size) {
  const auto tables = find_model(experiment).embedding_tables(experiment, shape);
  return plan_on_cluster({experiment, shape, tables, world_size}, cluster);
}

nlohmann::ordered_json to_json(const PublishedValidation& validation) {
  nlohmann::ordered_json json{{"fitted", {{"kernel_overhead_s", validation.kernel_overhead_s}}}};
  for (const PublishedComparison& of : validation.comparisons)
    json["results"].push_back({{"name", of.result.name},
                               {"system", of.result.system},
                               {"cluster", of.result.cluster},
                               {"world_size", of.result.world_size},
                               {"batch_size", of.result.batch_size},
                               {"published_samples_per_s", of.result.samples_per_s},
                               {"predicted_samples_per_s", of.predicted_samples_per_s},
                               {"error", of.error()},
                               {"imbalance", of.imbalance},
                               {"fitted", of.is_fitted}});
  json["largest_error"] = validation.largest_error;
  return json;
}

std::string text_of(const PublishedValidation& validation) {
  std::string text = fmt::format(
      "swallowtail: MLPerf DLRM-DCNv2; fitted on the first alone: {:.2f} us a kernel beside its work\n  {:<24} {:<12} "
      "{:>9} {:>12} {:>12} {:>8}\n",
      validation.kernel_overhead_s * 1e6, "result", "system", "batch", "published/s", "predicted/s", "error");
  for (const PublishedComparison& of : validation.comparisons)
    text += fmt::format("  {:<24} {:<12} {:>9.0f} {:>12.4g} {:>12.4g} {:>8}\n", of.result.name, of.result.system,
                        of.result.batch_size, of.result.samples_per_s, of.predicted_samples_per_s,
                        of.is_fitted ? "fitted" : fmt::format("{:+.1f} %", of.error() * 100));
  return text + fmt::format("  largest error of those not fitted: {:.1f} %\n", validation.largest_error * 100);
}

}  // namespace

PlanAnswer plan(const Experiment& experiment, const PlanRequest& request, Communicator& ranks) {
  const ClusterPlan made =
      plan_of(experiment, shape_without_data(experiment), load_cluster(request.cluster), request.world_size);
  if (!request.svg.empty() && ranks.rank() == 0) write_atomically(request.svg, load_svg(made));
  return {swallowtail::to_json(made), plan_text(made)};
}

PlanAnswer validate_plan(const Experiment& experiment, Communicator& ranks) {
  const auto predict = [](const Cluster& cluster, int world_size, double batch) {
    const auto published = Experiment::parse(published_experiment(), {fmt::format("train.batch_size={:.0f}", batch)},
                                             "configs/plan_mlperf_dcnv2.yaml");
    const ClusterPlan made = plan_of(published, shape_without_data(published), cluster, world_size);
    const double mean = made.planned.mean_seconds();
    return PredictedStep{made.step.step_s, mean > 0 ? made.planned.max_seconds() / mean : 1};
  };
  const PublishedValidation published = validate_published(predict);
  PlanAnswer answer{.json = {{"published", to_json(published)}}, .text = text_of(published)};
  const StepValidation here = validate_steps(experiment, ranks);
  answer.json["measured"] = swallowtail::to_json(here);
  answer.text += step_validation_text(here);
  return answer;
}

}  // namespace swallowtail
