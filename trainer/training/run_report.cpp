#include "trainer/training/run_report.h"

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <fstream>

#include "trainer/files/durable_file.h"
#include "trainer/report/html_report.h"
#include "trainer/report/metrics_log.h"
#include "trainer/report/run_curves.h"
#include "trainer/report/tensorboard.h"

namespace swallowtail {

using nlohmann::ordered_json;

namespace {

/// What the page of any run has, without figures and phases.
ReportData page_of(const ordered_json& summary, const std::string& experiment_yaml,
                   const std::filesystem::path& run_dir) {
  ReportData page;
  page.title = summary.at("experiment").get<std::string>();
  page.summary = summary;
  page.experiment_yaml = experiment_yaml;
  page.machine = machine_facts();
  page.by_step = plots_by_step(run_dir / "metrics.jsonl", summary.at("best_step").get<std::int64_t>());
  return page;
}

}  // namespace

struct RunReport::Impl {
  explicit Impl(const Options& from)
      : options(from), progress(stderr, Progress::style_of(stderr, from.quiet)), log(from.run_dir / "log.txt") {}

  Options options;
  Progress progress;
  AppendFile log;
  std::optional<MetricsLog> metrics;
  std::optional<TensorBoardWriter> events;
};

RunReport::RunReport(const Options& options) : impl_(options.writes ? std::make_unique<Impl>(options) : nullptr) {}
RunReport::~RunReport() = default;

void RunReport::begin(std::optional<std::int64_t> resumed_from) {
  if (!impl_) return;
  impl_->metrics.emplace(impl_->options.run_dir / "metrics.jsonl");
  if (resumed_from) impl_->metrics->truncate_after(*resumed_from);
  if (impl_->options.tensorboard) impl_->events.emplace(impl_->options.run_dir, resumed_from);
}

void RunReport::step(const StepRecord& record) {
  if (!impl_) return;
  impl_->progress.update({record.step, record.total_steps, record.epoch_progress, static_cast<double>(record.epochs),
                          record.samples, record.loss});
  if (!record.log) return;
  ordered_json line;
  line["step"] = record.step;
  line["epoch"] = record.epoch;
  line["samples"] = record.samples;
  line["loss"] = record.loss;
  line["learning_rate"] = record.learning_rate;
  line["samples_per_s"] = record.samples_per_s;
  impl_->metrics->append(line);
  if (!impl_->events) return;
  impl_->events->scalar("train/loss", record.step, record.loss);
  impl_->events->scalar("train/learning_rate", record.step, record.learning_rate);
  impl_->events->scalar("train/samples_per_s", record.step, record.samples_per_s);
}

void RunReport::evaluation(std::int64_t step, std::int64_t epoch, const std::string& split, const std::string& weights,
                           const MetricValues& values) {
  if (!impl_) return;
  ordered_json line;
  line["step"] = step;
  line["epoch"] = epoch;
  line["split"] = split;
  line["weights"] = weights;
  line.update(to_json(values));
  impl_->metrics->append(line);
  if (!impl_->events) return;
  for (const auto& [name, value] : values)
    if (value)
      impl_->events->scalar(fmt::format("{}/{}{}", split, name, weights == "raw" ? "" : "_average"), step, *value);
}

void RunReport::note(const std::string& text) {
  if (!impl_) return;
  impl_->progress.note(text);
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char stamp[32];
  std::strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &utc);
  impl_->log.append(fmt::format("{} {}\n", stamp, text));
}

void RunReport::finish_progress() {
  if (impl_) impl_->progress.finish();
}

void RunReport::write_page(const ordered_json& summary, const std::string& experiment_yaml,
                           const std::vector<ScoredSplit>& scored, const PhaseClock& clock) {
  if (!impl_) return;
  ReportData page = page_of(summary, experiment_yaml, impl_->options.run_dir);
  // The last split that was scored is the headline: test before validation.
  for (auto split = scored.rbegin(); split != scored.rend(); ++split)
    page.metrics.push_back({split->name, split->metrics});
  for (const ScoredSplit& split : scored) {
    if (split.scores.labels.empty()) continue;
    const auto series = [&](const Curve& curve) { return PlotSeries{split.name, curve.x, curve.y}; };
    page.roc.push_back(series(roc_curve(split.scores.view())));
    page.precision_recall.push_back(series(precision_recall_curve(split.scores.view())));
    page.calibration.push_back(series(calibration_curve(split.scores.view())));
  }
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase)
    page.phases.push_back({std::string(kPhaseNames[phase]), clock.seconds(static_cast<StepPhase>(phase))});
  write_atomically(impl_->options.run_dir / "report.html", html_report(page));
}

void write_page_again(const std::filesystem::path& run_dir, const nlohmann::json& more) {
  const auto text_of = [&](const char* name) {
    std::ifstream in(run_dir / name);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  const auto summary = ordered_json::parse(text_of("summary.json"));
  ReportData page = page_of(summary, text_of("experiment.yaml"), run_dir);
  const auto add = [&](const std::string& name, const ordered_json& metrics) {
    SplitMetrics& column = page.metrics.emplace_back(SplitMetrics{name, {}});
    for (const auto& [metric, value] : metrics.items())
      column.values.emplace_back(metric, value.is_number() ? MetricValue(value.get<double>()) : std::nullopt);
  };
  const auto slices =
      summary.value(ordered_json::json_pointer("/slices/test"), ordered_json::object());  // items() only refers
  const auto phases = summary.value("phases", ordered_json::object());
  for (const char* split : {"test", "validation"})
    if (summary.contains(split)) add(split, summary[split]);
  for (const auto& [slice, content] : slices.items())
    if (content.at("users").get<std::int64_t>() > 0) add("test, " + slice, content.at("metrics"));
  for (const auto& [phase, seconds] : phases.items()) page.phases.push_back({phase, seconds.get<double>()});
  page.summary.update(more);
  write_atomically(run_dir / "report.html", html_report(page));
}

}  // namespace swallowtail
