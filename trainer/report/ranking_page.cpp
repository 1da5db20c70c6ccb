#include "trainer/report/ranking_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "trainer/report/json_reading.h"
#include "trainer/report/metric_title.h"
#include "trainer/report/strata_page.h"

namespace swallowtail {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 6> kSliceMetrics{"ndcg",      "hit_rate", "recall",
                                                        "precision", "coverage", "diversity"};

std::string table(const char* id, const char* heading, const std::string& note, const std::string& head,
                  const std::string& rows) {
  if (rows.empty()) return {};
  return fmt::format(
      "<section aria-labelledby=\"{0}\"><h2 id=\"{0}\">{1}</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-labelledby=\"{0}\"><table><thead><tr>{2}</tr></thead><tbody>{3}</tbody></table></div>{4}</section>\n",
      id, heading, head, rows, note.empty() ? "" : fmt::format("<p class=\"note\">{}</p>", escape_html(note)));
}

std::string head_cell(const std::string& text, bool is_number = true) {
  return fmt::format("<th scope=\"col\"{}>{}</th>", is_number ? " class=\"number\"" : "", escape_html(text));
}

std::string number_cell(const std::optional<double>& value, int decimals = 4) {
  return fmt::format("<td class=\"number\">{}</td>", value ? metric_text(*value, decimals) : "–");
}

/// "test" where the run has one, else "validation".
std::string best_split(const json& object) {
  return object.is_object() && object.contains("test") ? "test" : "validation";
}

std::string curves_section(const json& summary, PlotColors& colors) {
  const json& curves = member_of(summary, "curves");
  std::string plots;
  for (const char* metric : {"ndcg", "recall", "hit_rate"}) {
    Plot plot;
    plot.title = metric_title(metric) + "@K";
    plot.x_label = "K, length of the list";
    plot.y_label = metric_title(metric);
    plot.is_square = true;
    for (const char* split : {"validation", "test"}) {
      const json& of_split = member_of(curves, split);
      const json &lengths = list_in(of_split, "k"), &values = list_in(of_split, metric);
      PlotSeries series{split, {}, {}};
      for (std::size_t i = 0; i < std::min(lengths.size(), values.size()); ++i) {
        if (!lengths[i].is_number() || !values[i].is_number()) continue;
        series.x.push_back(lengths[i].get<double>());
        series.y.push_back(values[i].get<double>());
      }
      if (!series.x.empty()) plot.series.push_back(std::move(series));
    }
    if (!plot.series.empty()) plots += plot_figure(plot, colors);
  }
  if (plots.empty()) return {};
  return "<section aria-labelledby=\"lengths\"><h2 id=\"lengths\">Length of the list</h2><div class=\"squares\">\n" +
         plots + "</div></section>\n";
}

std::string slices_section(const json& summary) {
  const json& slices = member_of(summary, "slices");
  const std::string split = best_split(slices);
  const json& of_split = member_of(slices, split);
  if (!of_split.is_object()) return {};
  std::vector<std::string> names;
  const json& all = member_of(summary, split);
  for (const std::string_view base : kSliceMetrics)
    if (all.is_object())
      for (const auto& [name, value] : all.items())
        if (value.is_number() && name.substr(0, name.find('@')) == base) {
          names.push_back(name);
          break;  // one length of each is enough: they move together
        }
  std::string head = head_cell("slice", false) + head_cell("users"), rows;
  for (const std::string& name : names) head += head_cell(name);
  const auto row = [&](const std::string& slice, const std::string& users, const json& metrics) {
    rows += fmt::format("<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>", escape_html(slice), users);
    for (const std::string& name : names) rows += number_cell(number_in(metrics, name));
    rows += "</tr>\n";
  };
  row("all", "", all);
  const std::size_t none = rows.size();
  for (const auto& [slice, content] : of_split.items()) {
    const auto users = number_in(content, "users");
    if (users && *users > 0) row(slice, grouped(std::llround(*users)), member_of(content, "metrics"));
  }
  if (rows.size() == none) return {};
  return table("slices", "Slices",
               fmt::format("On {}. Slices of items count only the relevant items among them.", split), head, rows);
}

std::string components_section(const json& summary, PlotColors& colors) {
  const json& components = list_in(summary, "components");
  if (components.empty()) return {};
  std::vector<std::string> strata, splits;
  std::string metric;
  bool has_pool = false;
  for (const json& component : components) {
    const json& gates = member_of(component, "gates");
    if (gates.is_object())
      for (const auto& [stratum, weight] : gates.items())
        if (std::ranges::find(strata, stratum) == strata.end()) strata.push_back(stratum);
    for (const char* split : {"validation", "test"}) {
      const json& of_split = member_of(member_of(component, "metrics"), split);
      if (!of_split.is_object() || of_split.empty()) continue;
      if (metric.empty()) metric = of_split.contains("ndcg@10") ? "ndcg@10" : of_split.begin().key();
      if (std::ranges::find(splits, split) == splits.end()) splits.emplace_back(split);
    }
    has_pool = has_pool || member_of(component, "pool").is_object();
  }
  std::string head = head_cell("component", false), rows;
  for (const std::string& split : splits) head += head_cell(fmt::format("{} alone, {}", metric, split));
  for (const std::string& stratum : strata) head += head_cell("weight, " + stratum);
  if (has_pool) head += head_cell("relevant items proposed") + head_cell("by it alone");
  for (const json& component : components) {
    const std::string name = text_in(component, "name");
    rows += fmt::format("<tr><th scope=\"row\" class=\"name\"><span class=\"swatch b{}\"></span>{}</th>",
                        colors.of(name), escape_html(name));
    for (const std::string& split : splits)
      rows += number_cell(number_in(member_of(member_of(component, "metrics"), split), metric));
    for (const std::string& stratum : strata) rows += number_cell(number_in(member_of(component, "gates"), stratum), 3);
    if (has_pool)
      for (const char* key : {"hits", "sole_hits"}) {
        const auto hits = number_in(member_of(component, "pool"), key);
        rows += fmt::format("<td class=\"number\">{}</td>", hits ? grouped(std::llround(*hits)) : "–");
      }
    rows += "</tr>\n";
  }
  std::string note;
  const json& pool = member_of(summary, "pool");
  if (const auto recall = number_in(pool, "recall")) {
    note = fmt::format("The pools hold {:.1f} % of the relevant items", *recall * 100);
    if (const auto size = number_in(pool, "size")) note += fmt::format(", with {:.0f} items a user", *size);
    note += ".";
  }
  std::string left_out;
  for (const json& one : list_in(member_of(member_of(summary, "stages"), "select"), "dropped"))
    left_out += (left_out.empty() ? "" : ", ") + text_in(one, "component");
  if (!left_out.empty())
    note += fmt::format(" Left out where users are known, for validation is no worse without: {}.", left_out);
  return table("components", "Components", note, head, rows);
}

/// A difference with its interval, on a scale that all rows share.
std::string whisker(double difference, double low, double high, double widest) {
  const auto at = [&](double value) { return 80 + 70 * value / widest; };
  return fmt::format(
      "<svg width=\"160\" height=\"14\" viewBox=\"0 0 160 14\" aria-hidden=\"true\"><path class=\"whisker-zero\" "
      "d=\"M80 "
      "0V14\"/><path class=\"whisker\" d=\"M{:.1f} 7H{:.1f}\"/><circle class=\"whisker-dot\" cx=\"{:.1f}\" cy=\"7\" "
      "r=\"3\"/></svg>",
      at(low), at(high), at(difference));
}

std::string ablation_section(const json& summary) {
  const json& ablation = list_in(summary, "ablation");
  if (ablation.empty()) return {};
  std::string metric;
  std::vector<std::string> splits;
  double widest = 0;
  for (const json& variant : ablation) {
    for (const char* split : {"validation", "test"}) {
      const json& of_split = member_of(member_of(variant, "metrics"), split);
      if (!of_split.is_object() || of_split.empty()) continue;
      if (metric.empty()) metric = of_split.contains("ndcg@10") ? "ndcg@10" : of_split.begin().key();
      if (std::ranges::find(splits, split) == splits.end()) splits.emplace_back(split);
    }
    for (const char* key : {"difference", "low", "high"})
      if (const auto value = number_in(variant, key)) widest = std::max(widest, std::abs(*value));
  }
  std::string head = head_cell("variant", false), rows;
  for (const std::string& split : splits) head += head_cell(fmt::format("{}, {}", metric, split));
  head += head_cell("difference") + head_cell("95 % interval") + "<th scope=\"col\"></th>";
  for (const json& variant : ablation) {
    rows += fmt::format("<tr><th scope=\"row\">{}</th>", escape_html(text_in(variant, "name")));
    for (const std::string& split : splits)
      rows += number_cell(number_in(member_of(member_of(variant, "metrics"), split), metric));
    const auto difference = number_in(variant, "difference"), low = number_in(variant, "low"),
               high = number_in(variant, "high");
    rows += fmt::format("<td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td></tr>\n",
                        difference ? fmt::format("{:+.4f}", *difference) : "",
                        low && high ? fmt::format("{:+.4f} … {:+.4f}", *low, *high) : "",
                        difference && low && high && widest > 0 ? whisker(*difference, *low, *high, widest) : "");
  }
  return table("ablation", "Ablation",
               "Differences from the full model on validation, paired by user; the dashed line is no difference.", head,
               rows);
}

}  // namespace

std::string ranking_sections(const json& summary, PlotColors& colors) {
  return curves_section(summary, colors) + slices_section(summary) + strata_section(summary) +
         components_section(summary, colors) + ablation_section(summary) + examples_section(summary, colors);
}

}  // namespace swallowtail
