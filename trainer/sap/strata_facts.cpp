#include "trainer/sap/strata_facts.h"

#include <nlohmann/json.hpp>

namespace swallowtail {

nlohmann::json strata_facts(const Strata& strata, const Interactions& data, const std::vector<std::string>& methods,
                            const SideColumn* item_column) {
  constexpr std::size_t kMostMarks = 5;
  nlohmann::json facts{{"silhouette", strata.quality.empty() ? 0.0F : strata.quality[0]},
                       {"notes", strata.notes},
                       {"groups", nlohmann::json::array()},
                       {"plane", nlohmann::json::array()}};
  const auto marks = stratum_marks(strata, data, item_column, kMostMarks);
  for (std::int32_t s = 0; s < strata.count(); ++s) {
    const StratumFacts own = strata.facts(s, data.train);
    nlohmann::json group{{"name", Strata::name(s)},
                         {"users", own.users},
                         {"interactions", own.interactions},
                         {"median_interactions", own.median_interactions},
                         {"marks", nlohmann::json::array()}};
    if (static_cast<std::size_t>(s) < methods.size()) group["method"] = methods[static_cast<std::size_t>(s)];
    if (static_cast<std::size_t>(s) < marks.size())
      for (const StratumMark& mark : marks[static_cast<std::size_t>(s)])
        group["marks"].push_back(
            {{"words", mark.words}, {"here", mark.here}, {"everywhere", mark.everywhere}, {"share", mark.is_share}});
    facts["groups"].push_back(std::move(group));
  }
  for (std::size_t i = 0; i < strata.plane_users.size(); ++i)
    facts["plane"].push_back({strata.plane[2 * i], strata.plane[2 * i + 1], strata.of(strata.plane_users[i])});
  return facts;
}

}  // namespace swallowtail
