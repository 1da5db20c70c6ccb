#include "kernels/marks.h"

#include <algorithm>

#include "kernels/cpu/marks_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {
namespace {

std::int64_t find_plainly(const char* text, std::uint32_t size, char first, char second, std::uint32_t* out) {
  std::uint32_t* const begin = out;
  for (std::uint32_t at = 0; at < size; ++at)
    if (text[at] == first || text[at] == second) *out++ = at;
  return out - begin;
}

std::int64_t count_plainly(const char* text, std::int64_t size, char byte) {
  return std::count(text, text + size, byte);
}

constexpr cpu::MarksFamily kScalar{find_plainly, count_plainly};

const cpu::MarksFamily& family() { return cpu::of_active_isa(cpu::marks_scalar, cpu::marks_avx2, cpu::marks_avx512); }

}  // namespace

const cpu::MarksFamily& cpu::marks_scalar() { return kScalar; }

std::int64_t find_marks(std::string_view text, char first, char second, std::uint32_t* out) noexcept {
  return family().find(text.data(), static_cast<std::uint32_t>(text.size()), first, second, out);
}

std::int64_t count_byte(std::string_view text, char byte) noexcept {
  return family().count(text.data(), static_cast<std::int64_t>(text.size()), byte);
}

}  // namespace swallowtail
