// Categories or words by their rows, and how texts are hashed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace swallowtail {

/// Categories in row order; finds a row by text.
class Vocabulary {
 public:
  Vocabulary() = default;
  explicit Vocabulary(std::vector<std::string> words);
  Vocabulary(Vocabulary&&) = default;  // `index_` views the words, which a move leaves where they are
  Vocabulary& operator=(Vocabulary&&) = default;
  /// Position of the word, or -1.
  std::int64_t find(std::string_view word) const {
    const auto found = index_.find(word);
    return found == index_.end() ? -1 : found->second;
  }
  const std::vector<std::string>& words() const noexcept { return words_; }

 private:
  std::vector<std::string> words_;
  std::unordered_map<std::string_view, std::int64_t> index_;
};

/// 64 bits of a text under a seed; the same on every machine.
std::uint64_t hash_text(std::string_view text, std::uint64_t seed) noexcept;
/// Of a text of one to eight bytes it is random::mix(hash_start(seed, size) ^ its bytes, the first one lowest).
std::uint64_t hash_start(std::uint64_t seed, std::size_t size) noexcept;

/// Words by falling count, equal ones by their bytes, without those rarer than min_count.
std::vector<std::string> ordered_words(std::vector<std::pair<std::string, std::int64_t>> counts,
                                       std::int64_t min_count);

}  // namespace swallowtail
