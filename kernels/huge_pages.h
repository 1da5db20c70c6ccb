// Memory for tables and large buffers: aligned to cache lines, and from 4 MiB up in huge pages where the system grants
// them, so that a random row costs one miss instead of two. Fresh elements are left as they are: the first thread to
// write a page decides on which NUMA node it lies.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace swallowtail {

/// Errors: std::bad_alloc.
void* allocate_huge(std::size_t bytes);
void free_huge(void* memory, std::size_t bytes) noexcept;

/// The same, but what is smaller than 4 MiB lies side by side with its like in shared huge pages: hundreds of small
/// tables are as one large one. For arrays that live about as long as each other: room is given back to the system when
/// all that share it are freed, and used again not before. Thread-safe.
void* allocate_side_by_side(std::size_t bytes);
void free_side_by_side(void* memory, std::size_t bytes) noexcept;

/// Each of the allocations' alternatives as a vector's allocator.
template <typename T, auto Allocate, auto Free>
struct UnwrittenAllocator {
  using value_type = T;
  template <typename Other>
  struct rebind {
    using other = UnwrittenAllocator<Other, Allocate, Free>;
  };
  UnwrittenAllocator() noexcept = default;
  template <typename Other>
  UnwrittenAllocator(const UnwrittenAllocator<Other, Allocate, Free>&) noexcept {}

  T* allocate(std::size_t count) { return static_cast<T*>(Allocate(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) noexcept { Free(memory, count * sizeof(T)); }
  template <typename Element, typename... Values>
  void construct(Element* at, Values&&... values) {
    if constexpr (sizeof...(Values) == 0)
      ::new (static_cast<void*>(at)) Element;  // no value: a vector's resize() leaves the pages untouched
    else
      ::new (static_cast<void*>(at)) Element(std::forward<Values>(values)...);
  }
  friend bool operator==(const UnwrittenAllocator&, const UnwrittenAllocator&) noexcept { return true; }
};

/// resize() leaves new elements without a value; write them before they are read.
template <typename T>
using HugeVector = std::vector<T, UnwrittenAllocator<T, allocate_huge, free_huge>>;
/// The same, of one of many tables.
template <typename T>
using TableVector = std::vector<T, UnwrittenAllocator<T, allocate_side_by_side, free_side_by_side>>;

}  // namespace swallowtail
