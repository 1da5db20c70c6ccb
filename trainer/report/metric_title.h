// A metric's name as a heading for readers; tables keep the name of the registry.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace swallowtail {

/// "AUC" for "auc", "NDCG@10" for "ndcg@10"; names that are not listed stay as they are.
inline std::string metric_title(std::string_view metric) {
  constexpr std::pair<std::string_view, std::string_view> kTitles[] = {{"auc", "AUC"},
                                                                       {"pr_auc", "PR AUC"},
                                                                       {"logloss", "Log loss"},
                                                                       {"ne", "Normalized entropy"},
                                                                       {"f1", "F1"},
                                                                       {"brier", "Brier score"},
                                                                       {"calibration", "Calibration"},
                                                                       {"accuracy", "Accuracy"},
                                                                       {"precision", "Precision"},
                                                                       {"recall", "Recall"},
                                                                       {"ndcg", "NDCG"},
                                                                       {"hit_rate", "Hit rate"},
                                                                       {"map", "MAP"},
                                                                       {"mrr", "MRR"},
                                                                       {"coverage", "Coverage"},
                                                                       {"diversity", "Diversity"},
                                                                       {"novelty", "Novelty"},
                                                                       {"gini", "Gini"}};
  const auto at = metric.find('@');  // "ndcg@10"
  for (const auto& [name, title] : kTitles)
    if (metric.substr(0, at) == name)
      return std::string(title) + (at == std::string_view::npos ? "" : std::string(metric.substr(at)));
  return std::string(metric);
}

}  // namespace swallowtail
