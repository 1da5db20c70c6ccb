// What can be taken away from SAP, one thing at a time, to see what it is worth.
#pragma once

#include <string>
#include <vector>

#include "trainer/config/experiment.h"

namespace swallowtail {

struct Ablation {
  std::string name;     // "no graph"
  std::string meaning;  // one line
  std::vector<std::string> overrides;
};

/// Of an experiment whose components are settings (sap_workshop.h). Those that change nothing, such as "no text"
/// without text, are left out. `best_alone`: the component that proposes in "one source"; empty: the first one.
std::vector<Ablation> ablations_of(const Experiment& experiment, const std::string& best_alone = {});

/// The one of that name; a component's own name means the one without it. Errors: usage, with the nearest name.
Ablation find_ablation(const Experiment& experiment, const std::string& name, const std::string& best_alone = {});

}  // namespace swallowtail
