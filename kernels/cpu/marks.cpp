#include "kernels/marks.h"

#include <algorithm>

#include "kernels/cpu/marks_kernels.h"
#include "kernels/cpu/variants.h"

namespace swallowtail {
namespace {

MarkCounts find_plainly(const char* text, std::uint32_t size, char delimiter, std::uint32_t* marks,
                        std::uint32_t* feeds) {
  MarkCounts counts;
  for (std::uint32_t at = 0; at < size; ++at) {
    if (text[at] != delimiter && text[at] != '\n') continue;
    marks[counts.marks++] = at;
    if (text[at] == '\n') feeds[counts.feeds++] = static_cast<std::uint32_t>(counts.marks);
  }
  return counts;
}

std::int64_t count_plainly(const char* text, std::int64_t size, char byte) {
  return std::count(text, text + size, byte);
}

constexpr cpu::MarksFamily kScalar{find_plainly, count_plainly};

const cpu::MarksFamily& family() { return cpu::of_active_isa(cpu::marks_scalar, cpu::marks_avx2, cpu::marks_avx512); }

}  // namespace

const cpu::MarksFamily& cpu::marks_scalar() { return kScalar; }

MarkCounts find_marks(std::string_view text, char delimiter, std::uint32_t* marks, std::uint32_t* feeds) noexcept {
  return family().find(text.data(), static_cast<std::uint32_t>(text.size()), delimiter, marks, feeds);
}

std::int64_t count_byte(std::string_view text, char byte) noexcept {
  return family().count(text.data(), static_cast<std::int64_t>(text.size()), byte);
}

}  // namespace swallowtail
