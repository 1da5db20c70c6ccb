#include "trainer/data/word_list.h"

#include "kernels/random.h"
#include "trainer/data/tokenizer.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

std::int64_t WordList::row_of(std::string_view word) const {
  const std::int64_t position = vocabulary_.find(word);
  if (position >= 0) return kFirstWord + position;
  return 1 + random::below(hash_text(word, random::purpose("unknown word")), kUnknownRows);
}

std::vector<std::int64_t> WordList::rows_of(std::string_view text, std::int64_t length) const {
  std::vector<std::int64_t> rows;
  for (const std::string& word : words_of(text, static_cast<std::size_t>(length))) rows.push_back(row_of(word));
  return rows;
}

std::string WordList::digest() const {
  std::string text = tokenizer_digest();
  for (const std::string& word : words()) text += '\n' + word;  // no word has a line break
  return sha256(text);
}

void WordCounter::add(std::string_view text, std::int64_t length) {
  for (std::string& word : words_of(text, static_cast<std::size_t>(length))) ++counts_[std::move(word)];
}

WordList WordCounter::list(const WordOptions& options) const {
  auto words = ordered_words({counts_.begin(), counts_.end()}, options.min_count);
  if (static_cast<std::int64_t>(words.size()) > options.most) words.resize(static_cast<std::size_t>(options.most));
  return WordList(std::move(words));
}

}  // namespace swallowtail
