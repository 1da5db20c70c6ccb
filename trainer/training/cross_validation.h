// Training of any experiment, once or once a fold. This header knows no torch.
#pragma once

#include <nlohmann/json.hpp>

#include "trainer/training/training.h"

namespace swallowtail {

/// train() or train_ranking(), as the model is; where evaluation.folds asks for it, one training after another with one
/// fold held out each, in `<run>/folds/<fold>/`. Then summary.json holds the means over the folds under the usual names
/// (validation, test), and beside them
///   folds           {count, by, runs [their folders]}
///   standard_error  {split -> {metric -> of the mean}}
///   by_fold         {split -> {metric -> [value]}}
/// A fold that has ended is not trained again by --resume. Collective. Errors: as train().
nlohmann::json train_experiment(const Experiment& experiment, const TrainRequest& request, Communicator& ranks);

}  // namespace swallowtail
