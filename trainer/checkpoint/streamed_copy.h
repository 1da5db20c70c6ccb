// A copy of much memory, past the caches: what is copied to be saved is not read again soon, and writing it through the
// caches would first read the memory that it overwrites.
#pragma once

#include <cstddef>
#include <span>

namespace swallowtail {

/// Copies `from` to `to`, apart from it, with the threads of OpenMP. Any alignment.
void copy_streamed(std::byte* to, std::span<const std::byte> from) noexcept;

}  // namespace swallowtail
