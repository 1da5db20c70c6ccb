#include "trainer/files/untrusted_json.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace swallowtail {
namespace {

using nlohmann::json;

TEST(UntrustedJson, WholeNumbersAloneAreIntegers) {
  EXPECT_EQ(json_integer(json::parse("-3")), -3);
  EXPECT_EQ(json_integer<std::uint64_t>(json::parse("18446744073709551615")),
            std::numeric_limits<std::uint64_t>::max());
  for (const char* text : {"1.5", "1e300", "-1e300", "\"3\"", "null", "true", "[3]", "{}"})
    EXPECT_THROW(json_integer(json::parse(text)), json::type_error) << text;
}

TEST(UntrustedJson, CountsAreNeitherNegativeNorBeyondReason) {
  EXPECT_EQ(json_count(json::parse("0")), 0);
  EXPECT_EQ(json_count(json(kLargestCount)), kLargestCount);
  for (const char* text : {"-1", "1152921504606846977", "18446744073709551615", "1e300", "1.0", "\"3\"", "null"})
    EXPECT_FALSE(json_count(json::parse(text))) << text;
}

TEST(UntrustedJson, IsReadToSixtyFourLevels) {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_FALSE(parse_untrusted_json(nested(64)).is_discarded());
  EXPECT_TRUE(parse_untrusted_json(nested(65)).is_discarded());
  EXPECT_FALSE(parse_untrusted_json('"' + std::string(100, '[') + "\\\"[\"").is_discarded());
  EXPECT_TRUE(parse_untrusted_json("{").is_discarded());
}

}  // namespace
}  // namespace swallowtail
