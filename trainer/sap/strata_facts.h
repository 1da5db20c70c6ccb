// The strata as summary.json and the report show them (trainer/report/ranking_page.h).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "trainer/sap/strata.h"

namespace swallowtail {

/// `methods`: in words, what serves each stratum; `item_column`: as stratum_marks() has it.
nlohmann::json strata_facts(const Strata& strata, const Interactions& data, const std::vector<std::string>& methods,
                            const SideColumn* item_column);

}  // namespace swallowtail
