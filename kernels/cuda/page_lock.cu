// A page is locked once: ranges are rounded to pages, and those that meet become one.
#include "kernels/cuda/page_lock.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "kernels/cuda/device.h"

namespace swallowtail::cuda {

PageLock::PageLock(std::span<const std::span<std::byte>> ranges) : PageLock() {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  std::vector<std::pair<std::uintptr_t, std::uintptr_t>> pages;  // begin, end
  for (const std::span<std::byte>& range : ranges) {
    if (range.empty()) continue;
    const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
    pages.emplace_back(begin / page * page, (begin + range.size() + page - 1) / page * page);
  }
  std::sort(pages.begin(), pages.end());
  for (std::size_t i = 0; i < pages.size();) {
    const std::uintptr_t begin = pages[i].first;
    std::uintptr_t end = pages[i].second;
    for (++i; i < pages.size() && pages[i].first < end; ++i) end = std::max(end, pages[i].second);
    locked_.reserve(locked_.size() + 1);
    detail::lock_pages(reinterpret_cast<void*>(begin), end - begin);
    locked_.push_back(reinterpret_cast<void*>(begin));
  }
}

PageLock::~PageLock() {
  for (void* const begin : locked_) detail::unlock_pages(begin);
}

}  // namespace swallowtail::cuda
