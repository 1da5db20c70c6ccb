// Host memory that was allocated without a thought of devices, page-locked for as long as this lives: kernels may use
// it as they use a PinnedBuffer's, without a copy of it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace swallowtail::cuda {

class PageLock {
 public:
  /// The ranges may share pages with each other, but not with another PageLock's, and outlive this.
  /// Errors: Failure where the system does not lock so much.
  explicit PageLock(std::span<const std::span<std::byte>> ranges);
  ~PageLock();
  PageLock(const PageLock&) = delete;
  PageLock& operator=(const PageLock&) = delete;

 private:
  PageLock() = default;
  std::vector<void*> locked_;
};

}  // namespace swallowtail::cuda
