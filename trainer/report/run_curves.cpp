#include "trainer/report/run_curves.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>

#include "trainer/evaluation/metrics.h"
#include "trainer/evaluation/ranked_lists.h"
#include "trainer/report/metric_title.h"

namespace swallowtail {
namespace {

/// The plot of that title, made where it is missing.
Plot& plot_named(std::vector<Plot>& plots, const std::string& title, const std::string& y_label) {
  const auto found = std::ranges::find(plots, title, &Plot::title);
  if (found != plots.end()) return *found;
  Plot plot;
  plot.title = title;
  plot.x_label = "step";
  plot.y_label = y_label;
  return plots.emplace_back(std::move(plot));
}

void add_point(Plot& plot, const std::string& series_name, double x, const nlohmann::json& y) {
  auto series = std::ranges::find(plot.series, series_name, &PlotSeries::name);
  if (series == plot.series.end()) series = plot.series.insert(series, PlotSeries{series_name, {}, {}});
  series->x.push_back(x);
  series->y.push_back(y.is_number() ? y.get<double>() : std::numeric_limits<double>::quiet_NaN());  // null: a gap
}

bool is_metric(const std::string& key) {
  const auto at = key.find('@');
  return at == std::string::npos ? std::ranges::count(metrics(), key, &MetricEntry::name) > 0
                                 : std::ranges::count(ranking_metrics(), key.substr(0, at)) > 0;
}

/// "raw" or another word of the line's weights; lines without one are raw.
std::string weights_of(const nlohmann::json& record) {
  const auto weights = record.find("weights");
  return weights != record.end() && weights->is_string() ? weights->get<std::string>() : "raw";
}

void add_split(std::vector<Plot>& plots, const nlohmann::json& record, double step, bool is_averaged_run) {
  auto series = record["split"].get<std::string>();
  if (is_averaged_run && weights_of(record) == "raw") series += ", raw weights";
  for (const auto& [key, value] : record.items()) {
    if (key == "logloss")
      add_point(plot_named(plots, "Loss", "loss"), series, step, value);
    else if (is_metric(key))
      add_point(plot_named(plots, metric_title(key), metric_title(key)), series, step, value);
  }
}

void add_training(std::vector<Plot>& plots, const nlohmann::json& record, double step) {
  const std::tuple<const char*, const char*, const char*> parts[] = {
      {"loss", "Loss", "loss"},
      {"learning_rate", "Learning rate", "learning rate"},
      {"samples_per_s", "Speed", "samples per second"}};
  for (const auto& [key, title, label] : parts)
    if (record.contains(key)) add_point(plot_named(plots, title, label), "train", step, record[key]);
}

/// Loss first, then the metrics in their usual order, then what explains them.
std::size_t place(const Plot& plot) {
  if (plot.title == "Loss") return 0;
  const auto found = std::ranges::find_if(
      metrics(), [&](const MetricEntry& metric) { return metric_title(metric.name) == plot.title; });
  if (found != metrics().end()) return 1 + static_cast<std::size_t>(found - metrics().begin());
  if (plot.title.find('@') != std::string::npos) return 50;  // of ranked lists, in the order of the log
  return plot.title == "Learning rate" ? 100 : 101;
}

double largest(const Plot& plot) {
  double value = 1;
  for (const auto& series : plot.series)
    for (const double y : series.y)
      if (std::isfinite(y)) value = std::max(value, y);
  return value;
}

}  // namespace

std::vector<Plot> plots_by_step(const std::filesystem::path& metrics_jsonl, std::optional<std::int64_t> best_step) {
  std::vector<nlohmann::json> records;
  std::ifstream file(metrics_jsonl);
  for (std::string line; std::getline(file, line);) {
    auto record = nlohmann::json::parse(line, nullptr, false);
    if (record.is_object() && record.contains("step") && record["step"].is_number())
      records.push_back(std::move(record));
  }
  const bool is_averaged_run =
      std::ranges::any_of(records, [](const auto& record) { return weights_of(record) != "raw"; });
  std::vector<Plot> plots;
  for (const auto& record : records) {
    const auto step = record["step"].get<double>();
    if (record.contains("split") && record["split"].is_string())
      add_split(plots, record, step, is_averaged_run);
    else
      add_training(plots, record, step);
  }
  std::ranges::stable_sort(plots, {}, place);
  for (auto& plot : plots) {
    if (plot.title == "Speed")
      plot.y_range = PlotRange{0, 1.1 * largest(plot)};  // cut at its foot, noise looks like a trend
    if (!best_step || place(plot) >= 100) continue;
    plot.marked_x = static_cast<double>(*best_step);
    plot.marked_label = "best";
  }
  return plots;
}

}  // namespace swallowtail
