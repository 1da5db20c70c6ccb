// Where SAP's components are made and kept: each is a ranking run of its own within the run of SAP, with its own
// experiment, curve, checkpoints and summary, so that a stopped run goes on within any of them.
//   <run>/components/<name>   trained on all training interactions; `swallowtail evaluate` takes it as any run
//   <run>/meta/<name>         the same without the last interaction of each user
//   <run>/stages/<name>       what the other stages came to
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "trainer/ranking/composed_ranker.h"
#include "trainer/sap/components.h"

namespace swallowtail {

/// The experiment with everything that sap.components.*.experiment names put into sap.components.*.settings, so that
/// it needs no other file; any other experiment as it is. Errors: usage for components that cannot be.
Experiment with_components(const Experiment& experiment);

std::unique_ptr<SapWorkshop> make_sap_workshop(const RankerInput& input, const RunPlace& run);

}  // namespace swallowtail
