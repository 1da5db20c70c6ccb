// The cost model of the ranks at hand, measured when a run starts.
#pragma once

#include <functional>
#include <memory>

#include "parallel/all_to_all/cost_model.h"
#include "parallel/communicator.h"

namespace swallowtail {

/// Measures the links (a ring of ranks within nodes and one between nodes, all ranks at once), then each algorithm at
/// rising sizes while `budget_s` lasts; the sizes beyond are simulated. Collective; the same model on every rank,
/// because every time that goes into it is the largest of all ranks. Takes about budget_s, on one rank no time. Errors:
/// those of the communicator.
/// now_s: the clock, for virtual ranks; null: the machine's.
std::shared_ptr<const CostModel> measure_costs(Communicator& ranks, double budget_s = 0.85,
                                               const std::function<double()>& now_s = nullptr);

}  // namespace swallowtail
