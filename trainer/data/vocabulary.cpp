#include "trainer/data/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/random.h"

namespace swallowtail {

namespace {

/// Up to eight bytes, the first one lowest.
std::uint64_t word_of(std::string_view text) {
  std::uint64_t word = 0;
  if (text.size() == 8 && std::endian::native == std::endian::little) {
    std::memcpy(&word, text.data(), 8);
    return word;
  }
  for (std::size_t i = 0; i < text.size(); ++i) word |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  return word;
}

}  // namespace

std::uint64_t hash_start(std::uint64_t seed, std::size_t size) noexcept {
  return random::mix(random::mix(seed) ^ size);
}

std::uint64_t hash_text(std::string_view text, std::uint64_t seed) noexcept {
  std::uint64_t hash = hash_start(seed, text.size());
  for (std::size_t begin = 0; begin < text.size(); begin += 8)
    hash = random::mix(hash ^ word_of(text.substr(begin, 8)));
  return hash;
}

Vocabulary::Vocabulary(std::vector<std::string> words) : words_(std::move(words)) {
  index_.reserve(words_.size());
  for (std::size_t i = 0; i < words_.size(); ++i) index_.emplace(words_[i], static_cast<std::int64_t>(i));
}

std::vector<std::string> ordered_words(std::vector<std::pair<std::string, std::int64_t>> counts,
                                       std::int64_t min_count) {
  std::erase_if(counts, [&](const auto& word) { return word.second < min_count; });
  std::ranges::sort(counts, [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::vector<std::string> words;
  words.reserve(counts.size());
  for (auto& [word, count] : counts) words.push_back(std::move(word));
  return words;
}

}  // namespace swallowtail
