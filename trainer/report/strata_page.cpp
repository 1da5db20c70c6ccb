#include "trainer/report/strata_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "trainer/report/json_reading.h"

namespace swallowtail {
namespace {

using nlohmann::json;

std::string mark_words(const json& mark) {
  const auto here = number_in(mark, "here"), everywhere = number_in(mark, "everywhere");
  if (!here || !everywhere) return {};
  const json& share = member_of(mark, "share");
  const bool is_share = !share.is_boolean() || share.get<bool>();
  const std::string values = is_share ? fmt::format("{:.0f} % of it, {:.0f} % of all", *here * 100, *everywhere * 100)
                                      : fmt::format("{:.1f} on average, {:.1f} of all", *here, *everywhere);
  return fmt::format("<li>{} <span>{}</span></li>", escape_html(text_in(mark, "words")), values);
}

/// Percent and component, the largest first.
std::vector<std::pair<double, std::string>> shares_of(const json& shares) {
  std::vector<std::pair<double, std::string>> found;
  double whole = 0;
  if (!shares.is_object()) return found;
  for (const auto& [component, share] : shares.items()) {
    if (!share.is_number() || !(share.get<double>() > 0)) continue;
    found.emplace_back(share.get<double>(), component);
    whole += share.get<double>();
  }
  for (auto& [share, component] : found) share = share / whole * 100;
  std::ranges::stable_sort(found, std::greater<>(), &std::pair<double, std::string>::first);
  return found;
}

std::string plane(const json& strata, const std::vector<std::string>& names, PlotColors& colors) {
  Plot plot;
  plot.title = "Users by stratum";
  plot.x_label = "first principal axis";
  plot.y_label = "second principal axis";
  plot.is_square = plot.is_scatter = true;
  for (const std::string& name : names) plot.series.push_back({name, {}, {}});
  bool has_points = false;
  for (const json& point : list_in(strata, "plane")) {
    if (!point.is_array() || point.size() != 3 || !point[0].is_number() || !point[1].is_number() ||
        !point[2].is_number_integer())
      continue;
    const auto group = point[2].get<std::int64_t>();
    if (group < 0 || group >= static_cast<std::int64_t>(names.size())) continue;
    plot.series[static_cast<std::size_t>(group)].x.push_back(point[0].get<double>());
    plot.series[static_cast<std::size_t>(group)].y.push_back(point[1].get<double>());
    has_points = true;
  }
  if (!has_points) return {};
  std::erase_if(plot.series, [](const PlotSeries& series) { return series.x.empty(); });
  return plot_figure(plot, colors);
}

}  // namespace

std::string strata_section(const json& summary) {
  const json& strata = member_of(summary, "strata");
  const json& groups = list_in(strata, "groups");
  if (groups.empty()) return {};
  PlotColors colors;  // strata have colours of their own: no other plot shows them
  std::vector<std::string> names;
  std::string rows;
  for (const json& group : groups) {
    names.push_back(text_in(group, "name"));
    std::string marks;
    for (const json& mark : list_in(group, "marks")) marks += mark_words(mark);
    const auto count = [&](const char* key) {
      const auto number = number_in(group, key);
      return number ? grouped(std::llround(*number)) : std::string("–");
    };
    const std::string method = text_in(group, "method");
    if (!method.empty()) marks += fmt::format("<li><span>ranked by {}</span></li>", escape_html(method));
    rows += fmt::format(
        "<tr><th scope=\"row\" class=\"name\"><span class=\"swatch b{}\"></span>{}</th><td class=\"number\">{}</td>"
        "<td class=\"number\">{}</td><td class=\"wide\"><ul class=\"marks\">{}</ul></td></tr>\n",
        colors.of(names.back()), escape_html(names.back()), count("users"), count("median_interactions"), marks);
  }
  std::string notes;
  if (const auto silhouette = number_in(strata, "silhouette"))
    notes += fmt::format(
        "<p class=\"note\">Mean silhouette {:.3f}: 1 where strata lie far apart, 0 where they touch.</p>", *silhouette);
  for (const json& note : list_in(strata, "notes"))
    if (note.is_string()) notes += fmt::format("<p class=\"note\">{}</p>", escape_html(note.get<std::string>()));
  const std::string figure = plane(strata, names, colors);
  const std::string table = fmt::format(
      "<div><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"strata\"><table><thead><tr><th "
      "scope=\"col\">stratum</th><th scope=\"col\" class=\"number\">users</th><th scope=\"col\" "
      "class=\"number\">median "
      "interactions</th><th scope=\"col\">what marks it</th></tr></thead>"
      "<tbody>{}</tbody></table></div>{}</div>",
      rows, notes);
  return fmt::format("<section aria-labelledby=\"strata\"><h2 id=\"strata\">Strata</h2><div{}>{}{}</div></section>\n",
                     figure.empty() ? "" : " class=\"strata\"", figure, table);
}

std::string examples_section(const json& summary, PlotColors& colors) {
  std::string out;
  for (const json& example : list_in(summary, "examples")) {
    std::string rows, history;
    for (const json& item : list_in(example, "items")) {
      std::string bar, words, because;
      for (const auto& [percent, component] : shares_of(member_of(item, "shares"))) {
        bar += fmt::format("<span class=\"b{}\" style=\"width:{:.2f}%\"></span>", colors.of(component), percent);
        words += fmt::format("{}{} {:.0f} %", words.empty() ? "" : ", ", escape_html(component), percent);
      }
      for (const json& reason : list_in(item, "because"))
        if (reason.is_string()) because += (because.empty() ? "like " : ", ") + escape_html(reason.get<std::string>());
      rows += fmt::format("<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"meaning\">{}{}</td></tr>\n",
                          escape_html(text_in(item, "item")),
                          bar.empty() ? "" : fmt::format("<div class=\"bar\" title=\"{}\">{}</div>", words, bar), words,
                          because.empty() ? "" : (words.empty() ? "" : "; ") + because);
    }
    if (rows.empty()) continue;
    for (const json& item : list_in(example, "history"))
      if (item.is_string()) history += (history.empty() ? "" : ", ") + escape_html(item.get<std::string>());
    const std::string stratum = text_in(example, "stratum");
    out += fmt::format(
        "<details class=\"example\"{}><summary>User {}{}</summary>{}<table><tbody>{}</tbody></table></details>",
        out.empty() ? " open" : "", escape_html(text_in(example, "user")),
        stratum.empty() ? "" : ", " + escape_html(stratum),
        history.empty() ? "" : fmt::format("<p>Last touched: {}</p>", history), rows);
  }
  if (out.empty()) return {};
  return "<section aria-labelledby=\"examples\"><h2 id=\"examples\">Recommendations, and why</h2>" + out +
         "</section>\n";
}

}  // namespace swallowtail
