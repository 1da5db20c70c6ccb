// EASE: a linear model of items on items that is solved in closed form. With G = X^T X of the users' distinct items and
// P = (G + lambda I)^-1, the weights are B_ij = -P_ij / P_jj off the diagonal and 0 on it; the score of an item is the
// sum of its weights from the items of the history. Memory: items^2 floats on every rank. Source: Steck, WWW 2019.
#pragma once

#include <memory>

#include "trainer/ranking/ranker.h"

namespace swallowtail {

std::unique_ptr<Ranker> make_ease(const RankerInput& input);

}  // namespace swallowtail
