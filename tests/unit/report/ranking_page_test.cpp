// The sections of ranking runs: everything that summary.json says stands on the page, escaped, and whatever form the
// JSON has, the page is made.
#include "trainer/report/ranking_page.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "trainer/report/html_report.h"

namespace swallowtail {
namespace {

using nlohmann::json;

json whole_summary() {
  return json::parse(R"json({
    "experiment": "sap", "steps": 12, "seconds": 40.0, "world_size": 2,
    "validation": {"ndcg@10": 0.141, "hit_rate@10": 0.21}, "test": {"ndcg@10": 0.124, "hit_rate@10": 0.19},
    "curves": {"test": {"k": [1, 5, 10], "ndcg": [0.05, 0.1, 0.124], "recall": [0.05, 0.14, 0.19]}},
    "slices": {"test": {"dense users": {"users": 900, "metrics": {"ndcg@10": 0.125}},
                        "cold users": {"users": 0, "metrics": {}}}},
    "strata": {"silhouette": 0.31, "notes": ["one stratum was <small>"],
               "groups": [{"name": "stratum 1", "users": 600, "interactions": 50000, "median_interactions": 70,
                           "method": "sasrec, ease",
                           "marks": [{"words": "gender F", "here": 0.6, "everywhere": 0.3, "share": true},
                                     {"words": "age", "here": 29.5, "everywhere": 34, "share": false}]},
                          {"name": "stratum 2", "users": 343, "interactions": 40000, "median_interactions": 90,
                           "marks": []}],
               "plane": [[0.5, 1.5, 0], [-1.0, 0.25, 1], [0, 0, 7], ["x", 0, 0]]},
    "components": [{"name": "sasrec", "metrics": {"validation": {"ndcg@10": 0.13}, "test": {"ndcg@10": 0.11}},
                    "gates": {"stratum 1": 0.7, "stratum 2": 0.4}, "pool": {"hits": 700, "sole_hits": 41}},
                   {"name": "ease", "metrics": {"test": {"ndcg@10": 0.07}}, "gates": {"stratum 1": 0.3}}],
    "pool": {"recall": 0.913, "size": 431.5},
    "stages": {"select": {"dropped": [{"component": "mf <small>", "validation": 0.14}, {"component": "knn"}]}},
    "ablation": [{"name": "full", "metrics": {"test": {"ndcg@10": 0.124}}},
                 {"name": "no graph", "metrics": {"test": {"ndcg@10": 0.121}}, "difference": -0.003, "low": -0.006,
                  "high": 0.001}],
    "examples": [{"user": "196", "stratum": "stratum 1", "history": ["Alien & Co"],
                  "items": [{"item": "Aliens", "score": 1.5, "shares": {"sasrec": 0.75, "ease": 0.25},
                             "because": ["Alien & Co"]}]}]
  })json");
}

std::string sections(const json& summary) {
  PlotColors colors;
  return ranking_sections(summary, colors);
}

TEST(RankingPage, SaysWhatTheSummarySays) {
  const std::string page = sections(whole_summary());
  for (const char* wanted : {"NDCG@K",
                             "Recall@K",
                             "dense users",
                             "Users by stratum",
                             "gender F",
                             "60 % of it, 30 % of all",
                             "29.5 on average, 34.0 of all",
                             "ranked by sasrec, ease",
                             "Mean silhouette 0.310",
                             "one stratum was &lt;small&gt;",
                             "weight, stratum 2",
                             "91.3 % of the relevant items",
                             "is no worse without: mf &lt;small&gt;, knn.",
                             "no graph",
                             "-0.0030",
                             "-0.0060 … +0.0010",
                             "User 196",
                             "Alien &amp; Co",
                             "sasrec 75 %, ease 25 %",
                             "like Alien &amp; Co"})
    EXPECT_NE(page.find(wanted), std::string::npos) << wanted;
  EXPECT_EQ(page.find("Hit rate@K"), std::string::npos);  // the summary has no such curve
  EXPECT_EQ(page.find("cold users"), std::string::npos);  // nobody is in it
  EXPECT_EQ(page.find("Alien & Co"), std::string::npos);  // escaped
  const auto whole = html_report({.title = "sap", .summary = whole_summary()});
  EXPECT_NE(whole.find(page.substr(0, 200)), std::string::npos);
}

TEST(RankingPage, IsEmptyForOtherRuns) {
  EXPECT_EQ(sections(json::parse(R"({"experiment": "dlrm", "test": {"auc": 0.8}})")), "");
  EXPECT_EQ(sections(nullptr), "");
}

/// Puts `value` in the place of every part of the summary, one after another.
void replace_each(const json& part, const json::json_pointer& at, const json& value) {
  json changed = whole_summary();
  changed[at] = value;
  EXPECT_NO_THROW(sections(changed)) << at.to_string() << " as " << value.dump();
  if (part.is_object())
    for (const auto& [key, inner] : part.items()) replace_each(inner, at / key, value);
  if (part.is_array())
    for (std::size_t i = 0; i < part.size(); ++i) replace_each(part[i], at / i, value);
}

TEST(RankingPage, AnyFormOfJsonIsPassedOver) {
  for (const char* value : {"null", "7", "\"text\"", "[]", "{}", "[1, [2]]", "{\"k\": null}", "true"})
    replace_each(whole_summary(), json::json_pointer(), json::parse(value));
}

}  // namespace
}  // namespace swallowtail
