// The variants of the search for marks: marks.h says what they mean.
#pragma once

#include <cstdint>

#include "kernels/marks.h"

namespace swallowtail::cpu {

struct MarksFamily {
  MarkCounts (*find)(const char* text, std::uint32_t size, char delimiter, std::uint32_t* marks, std::uint32_t* feeds);
  std::int64_t (*count)(const char* text, std::int64_t size, char byte);
};

const MarksFamily& marks_scalar();
const MarksFamily& marks_avx2();
const MarksFamily& marks_avx512();

}  // namespace swallowtail::cpu
