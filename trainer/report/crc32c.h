// CRC-32C (Castagnoli), the check sum of TFRecord files. Source: RFC 3720, appendix B.4.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace swallowtail {

namespace internal {
constexpr std::array<std::uint32_t, 256> make_crc32c_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) remainder = remainder >> 1 ^ (remainder & 1 ? 0x82F63B78U : 0U);
    table[byte] = remainder;
  }
  return table;
}
inline constexpr auto kCrc32cTable = make_crc32c_table();
}  // namespace internal

constexpr std::uint32_t crc32c(std::string_view bytes) noexcept {
  std::uint32_t remainder = 0xFFFFFFFFU;
  for (const char byte : bytes)
    remainder = remainder >> 8 ^ internal::kCrc32cTable[(remainder ^ static_cast<std::uint8_t>(byte)) & 0xFFU];
  return ~remainder;
}

}  // namespace swallowtail
