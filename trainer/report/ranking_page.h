// The sections of report.html that only ranking runs have, made of what summary.json holds. Every key is optional; what
// is absent, or of another form than said here, is left out of the page.
//
//   "curves": {"test": {"k": [1, 2, 5, …], "ndcg": [..], "recall": [..], "hit_rate": [..]}, "validation": {…}}
//       metrics over the length of the list
//   "slices": {"test": {"cold users": {"users": 12, "metrics": {"ndcg@10": 0.1}}, "stratum 1": {…}, …}}
//   "strata": {"silhouette": 0.3, "notes": ["…"],
//              "groups": [{"name": "stratum 1", "users": 312, "interactions": 9000, "median_interactions": 40,
//                          "method": "sasrec, bpr_mf",                       // words, optional
//                          "marks": [{"words": "occupation student", "here": 0.4, "everywhere": 0.2, "share": true}]}],
//              "plane": [[x, y, group], …]}       // group: number in "groups"; a few thousand users at most
//   "components": [{"name": "sasrec",
//                   "metrics": {"validation": {"ndcg@10": 0.13}, "test": {…}},  // alone
//                   "gates": {"stratum 1": 0.6, …},                             // its weight in each stratum
//                   "pool": {"hits": 700, "sole_hits": 41}}]                    // relevant items that it proposed
//   "pool": {"recall": 0.9, "size": 431.2}
//   "ablation": [{"name": "no graph", "metrics": {"validation": {"ndcg@10": 0.13}, "test": {…}},
//                 "difference": -0.004, "low": -0.007, "high": -0.001}]  // of the first metric on validation against
//                                                                         // the full model, with its paired interval
//       the full model first, under the name "full"
//   "examples": [{"user": "196", "stratum": "stratum 1", "history": ["Alien", …],   // last items, newest last
//                 "items": [{"item": "Aliens", "score": 1.2,
//                            "shares": {"sasrec": 0.7, "ease": 0.3},   // of the score, by component
//                            "because": ["Alien", …]}]}]               // items of the history that it is like
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "trainer/report/plot.h"

namespace swallowtail {

/// HTML of all sections that `summary` has something for; empty where there is none.
std::string ranking_sections(const nlohmann::json& summary, PlotColors& colors);

}  // namespace swallowtail
