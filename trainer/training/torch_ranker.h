// A ranking network as a ranker: batches are cut into chunks of train.chunk samples that are computed one by one, their
// gradients are added in a fixed tree, and every rank applies the same update to its copy of the parameters.
#pragma once

#include <memory>

#include "trainer/rankers/network.h"
#include "trainer/ranking/ranker.h"

namespace swallowtail {

using MakeNetwork = std::shared_ptr<RankingNetwork> (*)(const RankerInput&);

std::unique_ptr<Ranker> make_torch_ranker(const RankerInput& input, MakeNetwork make);

}  // namespace swallowtail
