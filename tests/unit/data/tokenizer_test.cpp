// Words of texts, and the list of words that a model knows.
#include "trainer/data/tokenizer.h"

#include <gtest/gtest.h>

#include <set>

#include "trainer/data/word_list.h"

namespace swallowtail {
namespace {

using Words = std::vector<std::string>;

TEST(Tokenizer, LettersAndDigitsInLowerCase) {
  EXPECT_EQ(words_of("Toy Story (1995), it's GREAT!"), (Words{"toy", "story", "1995", "it", "s", "great"}));
  EXPECT_EQ(words_of("Ärger ÉTÉ Ωμέγα ПРИВЕТ 漢字 ①"), (Words{"ärger", "été", "ωμέγα", "привет", "漢字"}));
  EXPECT_EQ(words_of(""), Words{});
  EXPECT_EQ(words_of(" \t.,"), Words{});
  EXPECT_EQ(words_of("a b c d", 2), (Words{"a", "b"}));
  EXPECT_EQ(words_of(std::string(100, 'x')), Words{std::string(64, 'x')});
}

TEST(Tokenizer, BytesThatAreNoUtf8StandBetweenWords) {
  EXPECT_EQ(words_of("ab\xFFzz"), (Words{"ab", "zz"}));
  EXPECT_EQ(words_of("ab\xC3"), Words{"ab"});                    // cut
  EXPECT_EQ(words_of("\xC1\x81x"), Words{"x"});                  // an overlong A
  EXPECT_EQ(words_of("a\xED\xA0\x80z"), (Words{"a", "z"}));      // half of a surrogate pair
  EXPECT_EQ(words_of("a\xF4\x90\x80\x80z"), (Words{"a", "z"}));  // beyond the last code point
  EXPECT_EQ(words_of("𝐀b"), (Words{"𝐀b"}));                      // four bytes, a letter without lower case
}

TEST(WordList, PadThenUnknownThenWordsByCount) {
  WordCounter counter;
  for (const char* text : {"b b b a a c", "a a c", "rare"}) counter.add(text, 64);
  const WordList list = counter.list({.min_count = 2, .most = 50, .length = 64});
  EXPECT_EQ(list.words(), (Words{"a", "b", "c"}));
  EXPECT_EQ(list.rows(), 65 + 3);
  EXPECT_EQ(list.rows_of("A, c? b", 64), (std::vector<std::int64_t>{65, 67, 66}));
  EXPECT_EQ(list.rows_of("a b c", 2).size(), 2u);
  std::set<std::int64_t> rows;
  for (int word = 0; word < 1000; ++word) rows.insert(list.row_of("unknown" + std::to_string(word)));
  EXPECT_EQ(rows.size(), 64u);
  EXPECT_EQ(*rows.begin(), 1);
  EXPECT_EQ(*rows.rbegin(), 64);
  EXPECT_EQ(counter.list({.min_count = 1, .most = 2, .length = 64}).words(), (Words{"a", "b"}));
}

TEST(WordList, TheDigestKnowsWordsAndTokenizer) {
  EXPECT_EQ(tokenizer_digest().size(), 16u);
  EXPECT_EQ(WordList({"a", "b"}).digest(), WordList({"a", "b"}).digest());
  EXPECT_NE(WordList({"a", "b"}).digest(), WordList({"b", "a"}).digest());
  EXPECT_NE(WordList({"ab"}).digest(), WordList({"a", "b"}).digest());
}

}  // namespace
}  // namespace swallowtail
