#include "kernels/huge_pages.h"

#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>
#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace swallowtail {

namespace {

constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLarge = 2 * kHugePage;           // from here on an allocation has pages of its own
constexpr std::size_t kShared = std::size_t{32} << 20;  // that smaller ones share
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kShares = false;  // neighbours without red zones would hide what the sanitizer is there to see
#else
constexpr bool kShares = true;
#endif

std::size_t rounded(std::size_t bytes) noexcept { return (bytes + kLine - 1) / kLine * kLine; }

void* allocate_aligned(std::size_t alignment, std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(-1) - kHugePage) throw std::bad_alloc();
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, rounded(bytes)) != 0) throw std::bad_alloc();
#if defined(__linux__)
  // Advice alone: a system without huge pages gives small ones. Whole huge pages, so that nothing is paid beyond them.
  if (alignment >= kHugePage) ::madvise(memory, rounded(bytes) / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return memory;
}

/// Stands at the beginning of kShared bytes, at a multiple of kShared: by an array's address its room is found.
struct alignas(kLine) SharedRoom {
  std::size_t used = sizeof(SharedRoom), arrays = 0;
};

std::mutex shared_mutex;
SharedRoom* newest_room = nullptr;  // the one that has room left

}  // namespace

void* allocate_huge(std::size_t bytes) { return allocate_aligned(bytes >= kLarge ? kHugePage : kLine, bytes); }

void free_huge(void* memory, std::size_t) noexcept { std::free(memory); }

void* allocate_side_by_side(std::size_t bytes) {
  if (!kShares || bytes >= kLarge) return allocate_huge(bytes);
  const std::lock_guard lock(shared_mutex);
  if (newest_room == nullptr || newest_room->used + rounded(bytes) > kShared)
    newest_room = new (allocate_aligned(kShared, kShared)) SharedRoom;
  void* const memory = reinterpret_cast<std::byte*>(newest_room) + newest_room->used;
  newest_room->used += rounded(bytes);
  ++newest_room->arrays;
  return memory;
}

void free_side_by_side(void* memory, std::size_t bytes) noexcept {
  if (!kShares || bytes >= kLarge) return free_huge(memory, bytes);
  const std::lock_guard lock(shared_mutex);
  auto* const room = reinterpret_cast<SharedRoom*>(reinterpret_cast<std::uintptr_t>(memory) / kShared * kShared);
  if (--room->arrays > 0) return;
  if (room == newest_room) newest_room = nullptr;
  std::free(room);
}

}  // namespace swallowtail
