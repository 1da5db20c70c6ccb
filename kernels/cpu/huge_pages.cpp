#include "kernels/huge_pages.h"

#include <cstdlib>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace swallowtail {

namespace {

constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20;

std::size_t alignment_of(std::size_t bytes) noexcept { return bytes >= 2 * kHugePage ? kHugePage : kLine; }

std::size_t rounded(std::size_t bytes) noexcept { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

void* allocate_huge(std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(-1) - kHugePage) throw std::bad_alloc();
  const std::size_t alignment = alignment_of(bytes);
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, rounded(bytes)) != 0) throw std::bad_alloc();
#if defined(__linux__)
  // Advice alone: a system without huge pages gives small ones. Whole huge pages, so that nothing is paid beyond them.
  if (alignment == kHugePage) ::madvise(memory, rounded(bytes) / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return memory;
}

void free_huge(void* memory, std::size_t) noexcept { std::free(memory); }

}  // namespace swallowtail
