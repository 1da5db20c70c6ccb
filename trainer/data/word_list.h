// The words that a model of text knows, as rows of a table: row 0 is the pad, which is no word; rows 1 … 64 stand for
// words that were too rare or never seen, by their hash; then the words by falling count, equal ones by their bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "trainer/data/data_options.h"
#include "trainer/data/vocabulary.h"

namespace swallowtail {

class WordList {
 public:
  static constexpr std::int64_t kPad = 0, kUnknownRows = 64, kFirstWord = 1 + kUnknownRows;

  WordList() = default;
  explicit WordList(std::vector<std::string> words) : vocabulary_(std::move(words)) {}
  std::int64_t rows() const noexcept { return kFirstWord + static_cast<std::int64_t>(words().size()); }
  const std::vector<std::string>& words() const noexcept { return vocabulary_.words(); }
  /// Never the pad.
  std::int64_t row_of(std::string_view word) const;
  /// Rows of the first `length` words of the text.
  std::vector<std::int64_t> rows_of(std::string_view text, std::int64_t length) const;
  /// 64 hexadecimal digits over the words and the tokenizer.
  std::string digest() const;

 private:
  Vocabulary vocabulary_;
};

/// Counts the words of texts. Memory: by distinct words.
class WordCounter {
 public:
  void add(std::string_view text, std::int64_t length);
  WordList list(const WordOptions& options) const;

 private:
  std::unordered_map<std::string, std::int64_t> counts_;
};

}  // namespace swallowtail
