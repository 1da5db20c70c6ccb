// The variants of the search for marks: marks.h says what they mean.
#pragma once

#include <cstdint>

namespace swallowtail::cpu {

struct MarksFamily {
  std::int64_t (*find)(const char* text, std::uint32_t size, char first, char second, std::uint32_t* out);
  std::int64_t (*count)(const char* text, std::int64_t size, char byte);
};

const MarksFamily& marks_scalar();
const MarksFamily& marks_avx2();
const MarksFamily& marks_avx512();

}  // namespace swallowtail::cpu
