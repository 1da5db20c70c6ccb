#include "trainer/report/html_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <regex>
#include <set>

namespace swallowtail {
namespace {

const std::string kEvil = "<script>alert(1)</script>\"' onload=x &amp;";

/// Every text of the page comes from outside and means harm.
ReportData evil_data() {
  ReportData data;
  data.title = kEvil;
  data.summary = {{"command", kEvil},      {"device", kEvil},
                  {"world_size", 2},       {"steps", 1020},
                  {"seconds", 9.83},       {"rows_read", 48842},
                  {"rows_quarantined", 3}, {"exchange", {{"algorithm", kEvil}, {"bytes_per_step", 1536}}}};
  data.warnings = {kEvil};
  data.metrics = {{"test", {{"auc", 0.92451}, {kEvil, std::nullopt}}}, {kEvil, {{"auc", 0.91}, {"logloss", 0.3}}}};
  const PlotSeries series{kEvil, {0, 0.5, 1}, {0, 0.7, 1}};
  Plot plot;
  plot.title = plot.x_label = plot.y_label = kEvil;
  plot.series = {series};
  data.by_step = {plot};
  data.roc = data.precision_recall = data.calibration = {series};
  data.phases = {{kEvil, 3}, {"backward", 1}};
  data.data_facts = {{kEvil, kEvil}};
  data.experiment_yaml = "name: " + kEvil + "\n";
  data.machine.cpu = data.machine.kernel = data.machine.compiler = data.machine.version = data.machine.isa = kEvil;
  return data;
}

/// Tags that are opened and closed must nest; returns the first that does not.
std::string first_unbalanced(const std::string& page) {
  const std::regex tag(R"(<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^<>"]|"[^"]*")*?)(/?)>)");
  const std::set<std::string> empty{"meta", "br", "link"};
  std::vector<std::string> open;
  for (std::sregex_iterator it(page.begin(), page.end(), tag), end; it != end; ++it) {
    const auto name = (*it)[2].str();
    if ((*it)[4].length() > 0 || empty.contains(name)) continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
    } else {
      if (open.empty() || open.back() != name) return "</" + name + ">";
      open.pop_back();
    }
  }
  return open.empty() ? "" : "<" + open.back() + ">";
}

std::string without_style(std::string page) {
  const auto begin = page.find("<style>"), end = page.find("</style>");
  return page.erase(begin + 7, end - begin - 7);
}

TEST(HtmlReport, EscapesEverythingFromOutside) {
  const auto page = html_report(evil_data());
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("\"' onload"), std::string::npos);
  EXPECT_NE(page.find("name: &lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; onload=x &amp;amp;"), std::string::npos);
  EXPECT_EQ(first_unbalanced(without_style(page)), "");
}

TEST(HtmlReport, LoadsAndRunsNothing) {
  const auto page = html_report(evil_data());
  EXPECT_FALSE(std::regex_search(
      page,
      std::regex(
          R"((?:src|href|action|data)\s*=|@import|url\(|https?:|<(?:script|link|iframe|object|embed|img|base)\b)")));
  const auto bare =
      std::regex_replace(without_style(page), std::regex("\"[^\"]*\""), "\"\"");  // attributes without their values
  EXPECT_FALSE(std::regex_search(bare, std::regex(R"(<[a-z][^<>]*\son[a-z]+=)")));
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

TEST(HtmlReport, IsReadableForAll) {
  const auto page = html_report(evil_data());
  EXPECT_NE(page.find("<html lang=\"en\">"), std::string::npos);
  EXPECT_NE(page.find("name=\"viewport\""), std::string::npos);
  EXPECT_NE(page.find("prefers-color-scheme:dark"), std::string::npos);
  EXPECT_NE(page.find("<title>"), std::string::npos);
  const std::regex svg("<svg [^>]*>");
  for (std::sregex_iterator it(page.begin(), page.end(), svg), end; it != end; ++it) {
    const auto tag = it->str();
    const bool is_nested = tag.find("<svg x=") == 0;
    EXPECT_TRUE(is_nested || tag.find("aria-label=") != std::string::npos ||
                tag.find("aria-hidden=") != std::string::npos)
        << tag;
  }
  const std::regex id(" id=\"([^\"]*)\"");
  std::set<std::string> ids;
  for (std::sregex_iterator it(page.begin(), page.end(), id), end; it != end; ++it)
    EXPECT_TRUE(ids.insert((*it)[1]).second) << "twice: " << (*it)[1];
}

TEST(HtmlReport, ShowsTheFigures) {
  const auto page = html_report(evil_data());
  for (const char* part :
       {"Results on test", ">0.9245<", ">0.924510<", "Trained 1,020 steps on 2 ranks in 9.8 s", "48,842", ">undefined<",
        "3, listed in quarantine.tsv", "75.0 %", "25.0 %", "1.5 KiB a step", "chance that a positive"})
    EXPECT_NE(page.find(part), std::string::npos) << part;
}

TEST(HtmlReport, AnEmptyRunIsAPageToo) {
  ReportData data;
  data.title = "empty";
  const auto page = html_report(data);
  EXPECT_EQ(first_unbalanced(without_style(page)), "");
  for (const char* section :
       {"id=\"results\"", "id=\"training\"", "id=\"quality\"", "id=\"metrics\"", "id=\"time\"", "id=\"experiment\""})
    EXPECT_EQ(page.find(section), std::string::npos) << section;
}

TEST(HtmlReport, OddNumbersDoNotBreakIt) {
  ReportData data;
  data.title = "odd";
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  data.summary = {{"steps", nullptr}, {"seconds", "soon"}, {"samples_per_s", inf}, {"exchange", 3}};
  data.metrics = {{"test", {{"auc", std::nullopt}, {"logloss", inf}, {"ne", nan}}}};
  data.roc = {{"test", {}, {}}};
  data.precision_recall = {{"test", {}, {}}};
  data.calibration = {{"test", {nan}, {inf}}};
  data.phases = {{"forward", 0}, {"backward", nan}};
  const auto page = html_report(data);
  EXPECT_EQ(first_unbalanced(without_style(page)), "");
  EXPECT_EQ(page.find("=\"nan"), std::string::npos);
  EXPECT_EQ(page.find("=\"inf"), std::string::npos);
}

}  // namespace
}  // namespace swallowtail
