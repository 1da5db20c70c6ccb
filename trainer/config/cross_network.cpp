#include "trainer/config/cross_network.h"

#include <fmt/format.h>

#include <algorithm>

namespace swallowtail {

std::optional<CrossNetwork> cross_network(const Experiment& experiment, std::int64_t width) {
  if (experiment.text("model.interaction") != "cross") return {};
  CrossNetwork network{experiment.integer("model.cross_layers"), std::max<std::int64_t>(1, width / 4)};
  if (!experiment.has("model.cross_rank")) return network;
  network.rank = experiment.integer("model.cross_rank");
  if (network.rank > width)
    throw experiment.error(
        "model.cross_rank",
        fmt::format("model.cross_rank is {}, and the features have {} columns together", network.rank, width),
        "give a rank of that or less");
  return network;
}

}  // namespace swallowtail
