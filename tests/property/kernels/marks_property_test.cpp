// The search for marks finds what a plain loop finds, under every instruction set, in texts of all lengths.
#include "kernels/marks.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/random.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

std::string random_text(std::uint64_t seed, std::size_t size, std::uint64_t one_mark_in) {
  std::string text(size, 'a');
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint64_t bits = random::bits(seed, random::purpose("marks"), i);
    text[i] = bits % one_mark_in == 0 ? (bits >> 32 & 1 ? '\t' : '\n') : static_cast<char>(bits >> 40);
  }
  return text;
}

TEST(Marks, AreThoseThatAPlainLoopFinds) {
  for (std::uint64_t seed = 0; seed < 40; ++seed)
    for (const std::size_t size : {0, 1, 63, 64, 65, 128, 1000, 4096}) {
      const std::string text = random_text(seed, size, 1 + seed % 9);
      std::vector<std::uint32_t> expected, expected_feeds;
      for (std::uint32_t i = 0; i < size; ++i) {
        if (text[i] == '\t' || text[i] == '\n') expected.push_back(i);
        if (text[i] == '\n') expected_feeds.push_back(static_cast<std::uint32_t>(expected.size()));
      }
      for (Isa isa = Isa::scalar; isa <= best_isa(); isa = static_cast<Isa>(static_cast<int>(isa) + 1)) {
        std::vector<std::uint32_t> found(size + 16), feeds(size + 1);
        const MarkCounts counts = under(isa, [&] { return find_marks(text, '\t', found.data(), feeds.data()); });
        found.resize(static_cast<std::size_t>(counts.marks));
        feeds.resize(static_cast<std::size_t>(counts.feeds));
        EXPECT_EQ(found, expected) << name_of(isa) << ", " << size << " bytes, seed " << seed;
        EXPECT_EQ(feeds, expected_feeds) << name_of(isa) << ", " << size << " bytes, seed " << seed;
        EXPECT_EQ(under(isa, [&] { return count_byte(text, '\n'); }), std::ssize(expected_feeds)) << name_of(isa);
      }
    }
}

}  // namespace
}  // namespace swallowtail
