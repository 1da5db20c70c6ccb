#include "trainer/files/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace swallowtail {
namespace {

TEST(Crc32c, IsThatOfTheStandard) {  // RFC 3720, appendix B.4
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(crc32c(""), 0U);
}

TEST(Crc32c, TheInstructionAndTheTableAgreeOnEveryLengthAndPlace) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 131 >> 3);
  const auto bytes = std::as_bytes(std::span(text));
  for (std::size_t from = 0; from < 9; ++from)
    for (std::size_t size = 0; from + size <= bytes.size(); ++size)
      ASSERT_EQ(crc32c(bytes.subspan(from, size)), crc32c_by_table(bytes.subspan(from, size))) << from << " " << size;
}

TEST(Crc32c, GoesOnWhereTheSumBeforeEnded) {
  const std::string text = "123456789";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    const auto bytes = std::as_bytes(std::span(text));
    EXPECT_EQ(crc32c(bytes.subspan(cut), crc32c(bytes.first(cut))), 0xE3069283U) << cut;
    EXPECT_EQ(crc32c_by_table(bytes.subspan(cut), crc32c_by_table(bytes.first(cut))), 0xE3069283U) << cut;
  }
}

}  // namespace
}  // namespace swallowtail
