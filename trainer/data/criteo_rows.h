// Rows of the Criteo format in a block of text: as raw rows, or straight to encoded ones.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/criteo_lines.h"
#include "trainer/data/row_blocks.h"
#include "trainer/data/source.h"

namespace swallowtail {

/// The chosen columns, by the number of their field (0 is the label).
struct CriteoColumns {
  std::vector<std::size_t> numbers, features;
};

std::unique_ptr<RowReader> read_criteo(const CriteoColumns& columns, const TextBlock& block);

/// What reading the rows and Encoding::encode give, without the steps between. False, and nothing done, for an encoding
/// that has more than dense columns and one id for each feature.
bool encode_criteo(const CriteoColumns& columns, const TextBlock& block, const Encoding& encoding, EncodedBlock& out);

}  // namespace swallowtail
