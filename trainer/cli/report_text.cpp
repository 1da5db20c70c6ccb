#include "trainer/cli/report_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

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

/// "rank 0: 350.7 MiB (tables 9.4 KiB, exchange 680.0 KiB)": one entry of the bill's `ranks`, its largest parts first.
std::string rank_text(const nlohmann::json& rank) {
  std::vector<std::pair<double, std::string>> parts;
  for (const auto& [name, bytes] : rank.items())
    if (name != "rank" && name != "total" && bytes.get<double>() > 0) parts.emplace_back(bytes.get<double>(), name);
  std::ranges::sort(parts, std::greater<>());
  std::string text;
  for (const auto& [bytes, name] : parts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", name, human_bytes(bytes));
  return fmt::format("swallowtail: rank {}: {} ({})\n", rank.at("rank").get<int>(),
                     human_bytes(rank.at("total").get<double>()), text);
}

}  // namespace

std::string human_bytes(double bytes) {
  constexpr std::array kUnits{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return unit == 0 ? fmt::format("{:.0f} bytes", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

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
  std::string text =
      fmt::format("swallowtail: the experiment is valid; {} rows were read, {} quarantined; nothing was written\n",
                  bill.at("rows_read").get<std::int64_t>(), bill.at("rows_quarantined").get<std::int64_t>());
  for (const auto& rank : bill.at("ranks")) text += rank_text(rank);
  return text + fmt::format("swallowtail: a machine needs {} of the {} that it has: {}\n",
                            human_bytes(bill.at("node_bytes").get<double>()),
                            human_bytes(bill.at("available_bytes").get<double>()),
                            bill.at("fits").get<bool>() ? "fits" : "does not fit");
}

std::string comparison_text(const nlohmann::json& comparison) {
  const auto numbers = [](const nlohmann::json& of, const char* value) {
    return fmt::format("{:.5f} [{:.5f}, {:.5f}]", of.at(value).get<double>(), of.at("low").get<double>(),
                       of.at("high").get<double>());
  };
  std::string text = fmt::format(
      "swallowtail: {}, {} {}, {:.0f} % intervals of {} resamples\n", comparison.at("split").get<std::string>(),
      comparison.at("count").get<std::int64_t>(), comparison.at("units").get<std::string>(),
      100 * comparison.at("confidence").get<double>(), comparison.at("resamples").get<std::int64_t>());
  for (const auto& [metric, unused] : comparison.at("entries").at(0).at("metrics").items()) {
    text += fmt::format("swallowtail: {}\n", metric);
    for (const auto& entry : comparison.at("entries"))
      if (entry.at("metrics").contains(metric))
        text += fmt::format("swallowtail:   {:<24} {}  ({} runs)\n", entry.at("name").get<std::string>(),
                            numbers(entry.at("metrics").at(metric), "value"), entry.at("runs").size());
    for (const auto& pair : comparison.at("comparisons"))
      if (pair.at("metrics").contains(metric))
        text += fmt::format("swallowtail:   {} - {}: {}, p {:.4f}\n", pair.at("b").get<std::string>(),
                            pair.at("a").get<std::string>(), numbers(pair.at("metrics").at(metric), "difference"),
                            pair.at("metrics").at(metric).at("p").get<double>());
  }
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
