#include "trainer/cli/report_text.h"

#include <fmt/format.h>

#include <string_view>

#include "trainer/cli/machine.h"

namespace swallowtail::cli {
namespace {

/// "auc 0.9247, logloss 0.2781"; a metric without a value is "undefined".
std::string metrics_text(const nlohmann::json& metrics) {
  std::string text;
  for (const auto& [name, value] : metrics.items()) {
    if (!value.is_number() && !value.is_null()) continue;
    text += text.empty() ? "" : ", ";
    text += value.is_null() ? name + " undefined" : fmt::format("{} {:.5g}", name, value.get<double>());
  }
  return text;
}

void append_bill(const nlohmann::json& node, const std::string& path, std::string& text) {
  if (node.is_structured()) {
    for (const auto& [key, child] : node.items()) append_bill(child, path.empty() ? key : path + "." + key, text);
    return;
  }
  std::string shown = node.is_string() ? node.get<std::string>() : node.dump();
  if (node.is_number() && path.find("bytes") != std::string::npos) shown = human_bytes(node.get<double>());
  text += fmt::format("swallowtail: {:<40} {}\n", path, shown);
}

}  // namespace

std::string summary_text(const nlohmann::json& summary) {
  std::string text;
  for (const char* split : {"validation", "test"})
    if (summary.contains(split) && summary[split].is_object())
      text += fmt::format("swallowtail: {:<10} {}\n", split, metrics_text(summary[split]));
  return text + fmt::format("swallowtail: {} steps, {} samples in {:.1f} s, {:.0f} samples/s\n",
                            summary.value("steps", std::int64_t{0}), summary.value("samples", std::int64_t{0}),
                            summary.value("seconds", 0.0), summary.value("samples_per_s", 0.0));
}

std::string memory_bill_text(const nlohmann::json& bill) {
  std::string text = "swallowtail: the experiment is valid; nothing was written\n";
  append_bill(bill, "", text);
  return text;
}

std::string evaluation_text(const nlohmann::json& evaluation) {
  std::string text;
  for (const auto& [split, metrics] : evaluation.at("metrics").items())
    text += fmt::format("swallowtail: {} {} {}: {}\n", evaluation.value("run", ""), evaluation.value("checkpoint", ""),
                        split, metrics_text(metrics));
  return text;
}

}  // namespace swallowtail::cli
