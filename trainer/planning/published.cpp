#include "trainer/planning/published.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "trainer/config/cluster_file.h"
#include "trainer/config/section_reader.h"
#include "trainer/config/yaml_reader.h"

namespace swallowtail {

namespace {

constexpr double kMostOverhead = 1e-3;  // of a kernel: more would be no model of kernels

}  // namespace

PublishedResults read_published() {
  const auto source = std::make_shared<config::Source>(config::Source{"configs/clusters/published.yaml", {}});
  const config::Node tree = config::read_yaml(published_results(), source);
  config::SectionReader all(tree, "published.yaml");
  PublishedResults published;
  published.fitted_on = all.text("fitted_on");
  for (const config::Node& node : all.section("results").items) {
    config::SectionReader reader(node, "results");
    PublishedResult& result = published.results.emplace_back();
    result.name = reader.text("name");
    result.system = reader.text("system");
    result.cluster = reader.text("cluster");
    result.world_size = reader.integer("world_size");
    result.batch_size = reader.number("batch_size", config::above(0));
    result.samples_per_s = reader.number("samples_per_s", config::above(0));
    reader.finish();
  }
  all.finish();
  return published;
}

PublishedValidation validate_published(const std::function<PredictedStep(const Cluster&, int, double)>& predict) {
  const PublishedResults published = read_published();
  const auto fitted = std::ranges::find(published.results, published.fitted_on, &PublishedResult::name);
  if (fitted == published.results.end())
    throw Error{ExitCode::usage, "fitted_on names no result", "configs/clusters/published.yaml"};
  PublishedValidation validation;
  Cluster cluster = load_cluster(fitted->cluster);
  const auto seconds = [&](double overhead_s) {
    cluster.kernel_overhead_s = overhead_s;
    return predict(cluster, fitted->world_size, fitted->batch_size).seconds;
  };
  // A step's time is a line in the overhead of a kernel, as no plan depends on it.
  const double at_zero = seconds(0), slope = (seconds(kMostOverhead) - at_zero) / kMostOverhead;
  validation.kernel_overhead_s = std::max(0.0, (fitted->batch_size / fitted->samples_per_s - at_zero) / slope);

  std::map<std::string, Cluster> clusters;
  for (const PublishedResult& result : published.results) {
    if (!clusters.contains(result.cluster)) clusters[result.cluster] = load_cluster(result.cluster);
    Cluster& of = clusters[result.cluster];
    of.kernel_overhead_s = validation.kernel_overhead_s;
    const PredictedStep step = predict(of, result.world_size, result.batch_size);
    PublishedComparison& comparison = validation.comparisons.emplace_back();
    comparison.result = result;
    comparison.predicted_samples_per_s = result.batch_size / step.seconds;
    comparison.imbalance = step.imbalance;
    comparison.is_fitted = result.name == published.fitted_on;
    if (!comparison.is_fitted)
      validation.largest_error = std::max(validation.largest_error, std::abs(comparison.error()));
  }
  return validation;
}

}  // namespace swallowtail
