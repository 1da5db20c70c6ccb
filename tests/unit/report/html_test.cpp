#include "trainer/report/html.h"

#include <gtest/gtest.h>

#include <cmath>

namespace swallowtail {
namespace {

TEST(Html, EscapesWhatCouldLeaveTheText) {
  EXPECT_EQ(escape_html("<script>alert('x' & \"y\")</script>"),
            "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;");
  EXPECT_EQ(escape_html("Zürich → 東京 😀\n\t"), "Zürich → 東京 😀\n\t");
}

TEST(Html, ReplacesControlCharactersAndBrokenUtf8) {
  const std::string u = "\xEF\xBF\xBD";
  EXPECT_EQ(escape_html(std::string("a\0b\x1b\x7f", 5)), "a" + u + "b" + u + u);
  EXPECT_EQ(escape_html("caf\xe9"), "caf" + u);
  EXPECT_EQ(escape_html("\xc0\xbcscript"), u + u + "script");  // overlong '<'
  EXPECT_EQ(escape_html("\xed\xa0\x80"), u + u + u);           // a surrogate
  EXPECT_EQ(escape_html("\xf0\x9f\x98"), u + u + u);           // cut off
}

TEST(Html, NumbersForReaders) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-123456), "-123,456");
  EXPECT_EQ(readable(0.92453149), "0.924531");
  EXPECT_EQ(readable(std::nan("")), "undefined");
  EXPECT_EQ(readable_bytes(1023), "1023 B");
  EXPECT_EQ(readable_bytes(1536), "1.5 KiB");
  EXPECT_EQ(readable_bytes(1e12), "931 GiB");
}

}  // namespace
}  // namespace swallowtail
