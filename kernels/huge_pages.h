// Memory for tables: aligned to cache lines, and from 4 MiB up in huge pages where the system grants them, so that a
// random row costs one miss instead of two. Fresh elements are left as they are: the first thread to write a page
// decides on which NUMA node it lies.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace swallowtail {

/// Errors: std::bad_alloc.
void* allocate_huge(std::size_t bytes);
void free_huge(void* memory, std::size_t bytes) noexcept;

template <typename T>
struct HugePageAllocator {
  using value_type = T;
  HugePageAllocator() noexcept = default;
  template <typename Other>
  HugePageAllocator(const HugePageAllocator<Other>&) noexcept {}

  T* allocate(std::size_t count) { return static_cast<T*>(allocate_huge(count * sizeof(T))); }
  void deallocate(T* memory, std::size_t count) noexcept { free_huge(memory, count * sizeof(T)); }
  template <typename Element, typename... Values>
  void construct(Element* at, Values&&... values) {
    if constexpr (sizeof...(Values) == 0)
      ::new (static_cast<void*>(at)) Element;  // no value: a vector's resize() leaves the pages untouched
    else
      ::new (static_cast<void*>(at)) Element(std::forward<Values>(values)...);
  }
  friend bool operator==(const HugePageAllocator&, const HugePageAllocator&) noexcept { return true; }
};

/// resize() leaves new elements without a value; write them before they are read.
template <typename T>
using HugeVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace swallowtail
