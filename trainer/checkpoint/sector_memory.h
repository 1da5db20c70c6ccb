// Memory for direct I/O, which wants addresses, places in the file and sizes that are multiples of a sector.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace swallowtail {

inline constexpr std::int64_t kSector = 4096;

class SectorMemory {
 public:
  SectorMemory() = default;
  /// At least `bytes`, up to the end of a sector. Errors: std::bad_alloc.
  explicit SectorMemory(std::size_t bytes) : size_((bytes + kSector - 1) / kSector * kSector) {
    bytes_.reset(static_cast<std::byte*>(std::aligned_alloc(kSector, size_)));
    if (!bytes_) throw std::bad_alloc();
  }
  std::byte* data() const noexcept { return bytes_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::span<std::byte> first(std::size_t bytes) const noexcept { return {bytes_.get(), bytes}; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const noexcept { std::free(bytes); }
  };
  std::size_t size_ = 0;
  std::unique_ptr<std::byte, Free> bytes_;
};

}  // namespace swallowtail
