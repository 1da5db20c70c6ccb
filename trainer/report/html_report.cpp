#include "trainer/report/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "trainer/report/html.h"
#include "trainer/report/json_reading.h"
#include "trainer/report/metric_title.h"
#include "trainer/report/progress.h"
#include "trainer/report/ranking_page.h"
#include "trainer/report/report_style.h"

namespace swallowtail {
namespace {

constexpr std::size_t kMostCards = 4;

std::string count(double number) { return grouped(std::llround(number)); }

std::string card_value(const MetricValue& value) { return value ? metric_text(*value, 4) : "–"; }

const MetricValue* value_of(const SplitMetrics& split, const std::string& name) {
  const auto found = std::ranges::find(split.values, name, &std::pair<std::string, MetricValue>::first);
  return found == split.values.end() ? nullptr : &found->second;
}

std::string cards(const ReportData& data) {
  if (data.metrics.empty() || data.metrics.front().values.empty()) return {};
  const auto& headline = data.metrics.front();
  auto out =
      fmt::format("<section aria-labelledby=\"results\"><h2 id=\"results\">Results on {}</h2><ul class=\"cards\">",
                  escape_html(headline.name));
  for (std::size_t i = 0; i < std::min(kMostCards, headline.values.size()); ++i) {
    const auto& [name, value] = headline.values[i];
    out += fmt::format("<li><span class=\"name\">{}</span><span class=\"value\">{}</span>",
                       escape_html(metric_title(name)), card_value(value));
    for (std::size_t other = 1; other < std::min<std::size_t>(data.metrics.size(), 3); ++other)
      if (const auto* beside = value_of(data.metrics[other], name))
        out += fmt::format("<span class=\"beside\">{} {}</span>", escape_html(data.metrics[other].name),
                           card_value(*beside));
    out += "</li>";
  }
  return out + "</ul></section>\n";
}

std::string definition(std::string_view term, const std::string& value) {
  return value.empty() ? "" : fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", escape_html(term), escape_html(value));
}

std::string run_facts(const nlohmann::json& summary) {
  std::string out;
  const auto add = [&](const char* term, const char* key, auto format) {
    if (const auto number = number_in(summary, key)) out += definition(term, format(*number));
  };
  add("Steps", "steps", count);
  add("Best step", "best_step", count);
  add("Samples", "samples", count);
  add("Time", "seconds", [](double s) { return s < 60 ? fmt::format("{:.1f} s", s) : short_duration(s); });
  add("Samples per second", "samples_per_s", short_count);
  add("Parameters", "parameters", count);
  add("Embedding rows", "embedding_rows", count);
  add("Peak memory of a rank", "peak_rss_bytes", readable_bytes);
  add("Ranks", "world_size", count);
  out += definition("Device", text_in(summary, "device"));
  add("Seed", "seed", count);
  if (summary.is_object() && summary.contains("exchange") && summary["exchange"].is_object()) {
    const auto& exchange = summary["exchange"];
    const auto bytes = number_in(exchange, "bytes_per_step");
    out += definition(
        "Exchange", text_in(exchange, "algorithm") + (bytes ? fmt::format(", {} a step", readable_bytes(*bytes)) : ""));
  }
  return out.empty() ? "" : fmt::format("<dl class=\"facts\">{}</dl>\n", out);
}

std::string plots_section(const char* id, const char* heading, const char* layout, const std::vector<Plot>& plots,
                          PlotColors& colors) {
  if (plots.empty()) return {};
  auto out =
      fmt::format("<section aria-labelledby=\"{0}\"><h2 id=\"{0}\">{1}</h2><div class=\"{2}\">\n", id, heading, layout);
  for (const auto& plot : plots) out += plot_figure(plot, colors);
  return out + "</div></section>\n";
}

/// ROC, precision-recall and calibration; each says what a model without skill would draw.
std::vector<Plot> quality_plots(const ReportData& data) {
  const auto square = [](const char* title, const char* x_label, const char* y_label,
                         const std::vector<PlotSeries>& series) {
    Plot plot;
    plot.title = title;
    plot.x_label = x_label;
    plot.y_label = y_label;
    plot.series = series;
    plot.x_range = plot.y_range = PlotRange{0, 1};
    plot.is_square = true;
    return plot;
  };
  std::vector<Plot> plots;
  if (!data.roc.empty()) {
    plots.push_back(square("ROC", "false positive rate", "true positive rate", data.roc));
    plots.back().reference = PlotSeries{"chance", {0, 1}, {0, 1}};
  }
  if (!data.precision_recall.empty()) {
    plots.push_back(square("Precision and recall", "recall", "precision", data.precision_recall));
    // With everything called positive, precision is the base rate.
    if (const auto& first = data.precision_recall.front(); !first.y.empty())
      plots.back().reference = PlotSeries{"chance", {0, 1}, {first.y.back(), first.y.back()}};
  }
  if (!data.calibration.empty()) {
    double largest = 0;  // rare positives would otherwise sit in a corner
    for (const auto& series : data.calibration)
      for (const auto* values : {&series.x, &series.y})
        for (const double value : *values)
          if (std::isfinite(value)) largest = std::max(largest, value);
    plots.push_back(square("Calibration", "mean prediction of a bin", "observed rate", data.calibration));
    const double end = largest > 0 ? std::min(1.0, largest * 1.05) : 1.0;
    plots.back().x_range = plots.back().y_range = PlotRange{0, end};
    plots.back().reference = PlotSeries{"calibrated", {0, end}, {0, end}};
  }
  return plots;
}

std::string metrics_table(const std::vector<SplitMetrics>& splits) {
  std::vector<std::string> names;
  for (const auto& split : splits)
    for (const auto& [name, value] : split.values)
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  if (names.empty()) return {};
  std::string out =
      "<section aria-labelledby=\"metrics\"><h2 id=\"metrics\">Metrics</h2>"
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"metrics\"><table><thead><tr><th "
      "scope=\"col\">metric</th>";
  for (const auto& split : splits)
    out += fmt::format("<th scope=\"col\" class=\"number\">{}</th>", escape_html(split.name));
  out += "<th scope=\"col\">meaning</th></tr></thead><tbody>\n";
  for (const auto& name : names) {
    out += fmt::format("<tr><th scope=\"row\"><code>{}</code></th>", escape_html(name));
    for (const auto& split : splits) {
      const auto* value = value_of(split, name);
      const auto text = value == nullptr ? std::string() : *value ? metric_text(**value, 6) : "undefined";
      out += fmt::format("<td class=\"number\">{}</td>", text);
    }
    const auto known = std::ranges::find(metrics(), name, &MetricEntry::name);
    out += fmt::format("<td class=\"meaning\">{}</td></tr>\n",
                       known == metrics().end() ? "" : escape_html(known->meaning));
  }
  return out + "</tbody></table></div></section>\n";
}

std::string time_section(const std::vector<Phase>& phases) {
  double total = 0;
  for (const auto& phase : phases) total += std::max(phase.seconds, 0.0);
  if (!(total > 0)) return {};
  std::string bar, rows;
  double before = 0;
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const double percent = std::max(phases[i].seconds, 0.0) / total * 100;
    bar += fmt::format(
        "<rect class=\"share s{}\" x=\"{:.3f}\" y=\"0\" width=\"{:.3f}\" height=\"10\"{}><title>{}: {:.1f} "
        "%</title></rect>",
        i % 6, before, std::max(percent - 0.15, 0.0), i % 12 >= 6 ? " opacity=\"0.55\"" : "",
        escape_html(phases[i].name), percent);
    rows += fmt::format(
        "<tr><th scope=\"row\"><span class=\"swatch b{}\"{}></span>{}</th><td class=\"number\">{:.2f} s</td><td "
        "class=\"number\">{:.1f} %</td></tr>\n",
        i % 6, i % 12 >= 6 ? " style=\"opacity:.55\"" : "", escape_html(phases[i].name), phases[i].seconds, percent);
    before += percent;
  }
  return fmt::format(
      "<section aria-labelledby=\"time\"><h2 id=\"time\">Where the time went</h2><div class=\"scroll\"><div "
      "class=\"time\">"
      "<svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Share of each phase in the "
      "time\">{}</svg></div>"
      "<table><thead><tr><th scope=\"col\">phase</th><th scope=\"col\" class=\"number\">time</th><th scope=\"col\" "
      "class=\"number\">share</th></tr></thead>"
      "<tbody>{}</tbody></table></div></section>\n",
      bar, rows);
}

std::string fact_table(const char* id, const char* heading,
                       const std::vector<std::pair<std::string, std::string>>& facts) {
  std::string rows;
  for (const auto& [name, value] : facts)
    if (!value.empty())
      rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape_html(name), escape_html(value));
  if (rows.empty()) return {};
  return fmt::format(
      "<section aria-labelledby=\"{0}\"><h2 id=\"{0}\">{1}</h2><div class=\"scroll\"><table "
      "class=\"pairs\"><tbody>{2}</tbody></table></div></section>\n",
      id, heading, rows);
}

std::string data_section(const ReportData& data) {
  std::vector<std::pair<std::string, std::string>> facts;
  if (const auto rows = number_in(data.summary, "rows_read")) facts.emplace_back("Rows read", count(*rows));
  if (const auto rows = number_in(data.summary, "rows_quarantined"))
    facts.emplace_back("Rows quarantined", count(*rows) + (*rows > 0 ? ", listed in quarantine.tsv" : ""));
  facts.insert(facts.end(), data.data_facts.begin(), data.data_facts.end());
  return fact_table("data", "Data", facts);
}

std::string machine_section(const MachineFacts& machine) {
  std::vector<std::pair<std::string, std::string>> facts{{"Processor", machine.cpu}};
  if (machine.cores > 0)
    facts.emplace_back("Cores", machine.cpu_quota > 0
                                    ? fmt::format("{}, limited to the time of {:g}", machine.cores, machine.cpu_quota)
                                    : fmt::format("{}", machine.cores));
  facts.emplace_back("Vector instructions", machine.isa);
  if (machine.memory_total_bytes > 0)
    facts.emplace_back("Memory", readable_bytes(static_cast<double>(machine.memory_total_bytes)) +
                                     (machine.is_memory_limited ? ", the limit of the control group" : ""));
  facts.emplace_back("System", machine.kernel);
  facts.emplace_back("Compiler", machine.compiler);
  facts.emplace_back("Swallowtail", machine.version);
  return fact_table("machine", "Machine", facts);
}

std::string header(const ReportData& data) {
  auto out =
      fmt::format("<header><p class=\"eyebrow\">Swallowtail training report</p><h1>{}</h1>", escape_html(data.title));
  const auto& summary = data.summary;
  const auto steps = number_in(summary, "steps"), seconds = number_in(summary, "seconds"),
             ranks = number_in(summary, "world_size");
  if (steps && seconds)
    out += fmt::format("<p class=\"lead\">Trained {} steps{} in {}.</p>", count(*steps),
                       ranks ? fmt::format(" on {} rank{}", count(*ranks), *ranks == 1 ? "" : "s") : "",
                       *seconds < 60 ? fmt::format("{:.1f} s", *seconds) : short_duration(*seconds));
  for (const auto& warning : data.warnings) out += fmt::format("<p class=\"warning\">{}</p>", escape_html(warning));
  return out + "</header>\n";
}

}  // namespace

std::string html_report(const ReportData& data) {
  PlotColors colors;
  auto out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      "<title>{} · Swallowtail report</title>\n<style>{}</style>\n</head>\n<body>\n",
      escape_html(data.title), kReportStyle);
  out += header(data) + "<main>\n" + cards(data) + run_facts(data.summary);
  out += plots_section("training", "Training", "plots", data.by_step, colors);
  out += plots_section("quality", "Quality of the predictions", "squares", quality_plots(data), colors);
  out += metrics_table(data.metrics) + ranking_sections(data.summary, colors) + time_section(data.phases);
  out += "<div class=\"pair\">" + data_section(data) + machine_section(data.machine) + "</div>\n";
  const auto command = text_in(data.summary, "command");
  if (!command.empty() || !data.experiment_yaml.empty()) {
    out += "<section aria-labelledby=\"experiment\"><h2 id=\"experiment\">Experiment</h2>";
    if (!command.empty()) out += fmt::format("<p><code>{}</code></p>", escape_html(command));
    if (!data.experiment_yaml.empty())
      out += fmt::format("<details><summary>experiment.yaml, everything resolved</summary><pre>{}</pre></details>",
                         escape_html(data.experiment_yaml));
    out += "</section>\n";
  }
  out +=
      "</main>\n<footer>Curves of more than 300 points show the mean of neighbouring steps; the band spans their "
      "smallest and "
      "largest value.</footer>\n</body>\n</html>\n";
  return out;
}

}  // namespace swallowtail
