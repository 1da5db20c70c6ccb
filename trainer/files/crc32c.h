// CRC-32C (Castagnoli), the check sum of TFRecord files and of a checkpoint's blocks. Source: RFC 3720, appendix B.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace swallowtail {

/// Of `bytes` after others whose check sum is `before`. Uses the SSE 4.2 instruction where the machine has it (8 bytes
/// in three cycles), else a table.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;
inline std::uint32_t crc32c(std::string_view bytes) noexcept { return crc32c(std::as_bytes(std::span(bytes))); }

/// The table alone, which is the meaning; tests compare.
std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

}  // namespace swallowtail
