// The cross network that model.* asks for, for the model and for plans of it.
#pragma once

#include <cstdint>
#include <optional>

#include "trainer/config/experiment.h"

namespace swallowtail {

struct CrossNetwork {
  std::int64_t layers = 0, rank = 0;
};

/// Over all features concatenated, `width` columns; nothing where model.interaction is another. Where no rank is set it
/// is a quarter of the width, which kept the accuracy of full rank for Wang et al. (arXiv:2008.13535; the words are
/// those of their layer in TensorFlow Recommenders, feature_interaction/dcn.py).
/// Errors: usage where the rank is above the width: such a product has no more freedom than a full matrix.
std::optional<CrossNetwork> cross_network(const Experiment& experiment, std::int64_t width);

}  // namespace swallowtail
