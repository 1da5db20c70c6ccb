// report.html: one self-contained page on a run. It loads nothing, runs no script, follows the reader's choice of light
// or dark, and escapes every name and text that came from outside.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "trainer/evaluation/metrics.h"
#include "trainer/report/machine.h"
#include "trainer/report/plot.h"

namespace swallowtail {

/// A column of the metrics table.
struct SplitMetrics {
  std::string name;  // "test", "validation", "validation, raw weights", "best reachable"
  std::vector<std::pair<std::string, MetricValue>> values;
};

struct Phase {
  std::string name;  // "forward", "exchange", …
  double seconds;
};

/// Whatever is empty is left out of the page.
struct ReportData {
  std::string title;                  // the experiment's name
  nlohmann::json summary;             // summary.json (DESIGN section 5); keys that it lacks are left out
  std::vector<std::string> warnings;  // what the reader must know first
  std::vector<SplitMetrics> metrics;  // the first is the headline; the others stand beside it
  std::vector<Plot> by_step;          // run_curves.h makes them
  std::vector<PlotSeries> roc, precision_recall, calibration;   // one a split, of evaluation/metrics.h
  std::vector<Phase> phases;                                    // where the time of training went
  std::vector<std::pair<std::string, std::string>> data_facts;  // beside rows read and quarantined
  std::string experiment_yaml;
  MachineFacts machine;
};

std::string html_report(const ReportData& data);

}  // namespace swallowtail
