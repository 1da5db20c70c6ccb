// Which components serve which stratum.
//   auto   all of them: the gates decide by validation what each is worth, shrunk toward all users' weights
//   default  dense strata: a sequence model and EINMF; sparse ones: EINMF and content; cold: demographics and content
//   list   as sap.methods says, by "stratum 1", "dense", "sparse" or "cold"; what is not named has all
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/sap/components.h"
#include "trainer/sap/sap_options.h"

namespace swallowtail {

/// Bit c for each component that is named; all bits where `names` is empty. Errors: usage at `key`.
std::uint64_t mask_of(const std::vector<SapWorkshop::Order>& components, const std::vector<std::string>& names,
                      const Experiment& experiment, const std::string& key);

/// Strata that gates have room for, at least one: decided by the experiment, so that a checkpoint can be read back.
std::int64_t strata_capacity(const Strata& strata);

/// [gates.rows()].

std::vector<std::uint64_t> methods_of(const std::vector<SapWorkshop::Order>& components, const Strata& strata,
                                      const Histories& train, const SapOptions& options, const Experiment& experiment);

/// Components of new users by their weight: those of the list, else those that need no history, the one that
/// knows most of a new user first; else all.
std::vector<std::size_t> cold_order(const std::vector<SapWorkshop::Order>& components, const SapOptions& options);

}  // namespace swallowtail
