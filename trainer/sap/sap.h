// SAP, Stratified Advanced Personalized recommendation, as a ranker: strata of users, components that each rank the
// catalogue, a pool of what they propose, a product layer that weighs them for each stratum, graph re-ranking,
// re-ordering, and a chance for each score. sap.cpp reads from top to bottom as the data go.
#pragma once

#include <memory>

#include "trainer/ranking/composed_ranker.h"
#include "trainer/sap/components.h"

namespace swallowtail {

/// Errors: usage for names of components that are not there.
std::unique_ptr<Ranker> make_sap(const RankerInput& input, std::unique_ptr<SapWorkshop> workshop);

}  // namespace swallowtail
