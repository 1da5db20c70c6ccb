// Two sections of the page of a ranking run: users by stratum, and examples of recommendations with their reasons. The
// keys that they read stand in ranking_page.h.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "trainer/report/plot.h"

namespace swallowtail {

std::string strata_section(const nlohmann::json& summary);
/// Components have the colours that `colors` gave them.
std::string examples_section(const nlohmann::json& summary, PlotColors& colors);

}  // namespace swallowtail
