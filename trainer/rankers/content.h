// The content tower: content.cpp says what it is.
#pragma once

#include <memory>

#include "trainer/rankers/network.h"

namespace swallowtail {

std::shared_ptr<RankingNetwork> make_content(const RankerInput& input);

}  // namespace swallowtail
