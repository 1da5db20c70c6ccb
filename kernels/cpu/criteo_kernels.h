// The variants of the decoder of lines: criteo_lines.h says what they mean.
#pragma once

#include "kernels/criteo_lines.h"

namespace swallowtail::cpu {

struct CriteoFamily {
  bool (*decode)(const CriteoText& lines, const CriteoHashes& hashes, CriteoGroup& out, std::int64_t* ids);
};

const CriteoFamily& criteo_scalar();
const CriteoFamily& criteo_avx2();
const CriteoFamily& criteo_avx512();

}  // namespace swallowtail::cpu
