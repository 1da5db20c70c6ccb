// Synthetic data: any rank makes any sample from (seed, split, sample), nothing is stored.
//   random   the shapes of the reference DLRM's random generator: dense values, ids of a fixed or random number a bag,
//   fair labels planted  every row of every table and the dense columns have latent scores, and the label is drawn with
//   the known probability
//            sigmoid(bias + strength * score), score about N(0, 1), so the best reachable AUC and log-loss are known
// Source of the shapes: Naumov et al., arXiv:1906.00091, and its reference implementation.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "trainer/config/experiment.h"
#include "trainer/data/dataset.h"

namespace swallowtail {

/// experiment: the root section. split: "train", "validation" or "test", of data.samples, data.validation_samples and
/// data.test_samples samples; null where that is 0. Errors: usage at the key that makes no sense.
std::unique_ptr<Dataset> make_synthetic(const Section& experiment, std::uint64_t seed, std::string_view split);

}  // namespace swallowtail
