// The registry of ranking models. This header knows no torch.
#pragma once

#include <memory>
#include <span>

#include "trainer/ranking/ranker.h"

namespace swallowtail {

/// A new model is one file and one line there.
std::span<const RankerEntry> ranking_models();

/// The one that model.type names, or null.
const RankerEntry* ranking_entry(const Experiment& experiment);
/// Whether model.type names one of them.
bool is_ranking(const Experiment& experiment);

/// The model of model.type. Errors: usage where it is none of them.
std::unique_ptr<Ranker> make_ranker(const RankerInput& input);

}  // namespace swallowtail
