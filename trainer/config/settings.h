// What a user has set, as overrides for another experiment.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trainer/config/experiment.h"

namespace swallowtail {

/// "section.key=value" of every key of a top-level section that the user set, in the schema's order: with them as
/// overrides, another experiment has the same section. Keys within lists of maps are left out.
std::vector<std::string> settings_of(const Experiment& experiment, std::string_view section);

}  // namespace swallowtail
