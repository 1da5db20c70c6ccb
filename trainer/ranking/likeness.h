// By what items are alike where lists are measured and re-ordered.
#pragma once

#include "trainer/config/experiment.h"
#include "trainer/data/interactions.h"

namespace swallowtail {

/// The column of data.items whose categories say how alike items are: evaluation.diversity_by, or the one with several
/// categories a row that has the fewest in all; null where there is none. Errors: usage for a column that is none.
const SideColumn* likeness_column(const Experiment& experiment, const SideTable& items);

}  // namespace swallowtail
