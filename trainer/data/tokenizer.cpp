#include "trainer/data/tokenizer.h"

#include <fmt/format.h>
#include <locale.h>
#include <wctype.h>

#include <cstdint>

#include "kernels/random.h"
#include "parallel/error.h"

namespace swallowtail {
namespace {

constexpr std::size_t kMostLetters = 64;
constexpr std::uint32_t kCodePoints = 0x110000, kNone = kCodePoints;

/// For each code point the lower case of a letter or digit, 0 for everything else.
class Letters {
 public:
  Letters() : lower_(kCodePoints, 0) {
    locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    if (locale == nullptr) locale = newlocale(LC_CTYPE_MASK, "en_US.UTF-8", nullptr);
    if (locale == nullptr)
      throw Error{ExitCode::resources, "the C library has no UTF-8 locale", "tokenizer",
                  "install the locale C.UTF-8 or en_US.UTF-8"};
    std::uint64_t digest = random::purpose("tokenizer 1");
    for (std::uint32_t code = 0; code < kCodePoints; ++code) {
      const auto letter = static_cast<wint_t>(code);
      if (iswalnum_l(letter, locale) == 0) continue;
      lower_[code] = static_cast<std::uint32_t>(towlower_l(letter, locale));
      digest = random::mix(digest ^ (std::uint64_t{code} << 32 | lower_[code]));
    }
    freelocale(locale);
    digest_ = fmt::format("{:016x}", digest);
  }
  std::uint32_t lower(std::uint32_t code) const { return lower_[code]; }
  const std::string& digest() const { return digest_; }

 private:
  std::vector<std::uint32_t> lower_;
  std::string digest_;
};

const Letters& letters() {
  static const Letters all;
  return all;
}

/// Takes the first code point off the text; kNone, and one byte taken, where it is none (overlong, surrogate, cut).
std::uint32_t take(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t first = byte(0);
  const std::size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
  constexpr std::uint32_t kLeast[]{0, 0, 0x80, 0x800, 0x10000};
  std::uint32_t code = length == 1 ? first : length == 0 ? kNone : first & (0x7FU >> length);
  for (std::size_t i = 1; i < length && code != kNone; ++i)
    code = i < text.size() && byte(i) >> 6 == 2 ? code << 6 | (byte(i) & 0x3F) : kNone;
  if (code < kNone && (code < kLeast[length] || (code >= 0xD800 && code < 0xE000))) code = kNone;
  if (code > kNone) code = kNone;
  text.remove_prefix(code == kNone ? 1 : length);
  return code;
}

void append(std::string& word, std::uint32_t code) {
  const auto put = [&](std::uint32_t byte) { word += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | code >> 6);
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

}  // namespace

std::vector<std::string> words_of(std::string_view text, std::size_t most) {
  const Letters& all = letters();
  std::vector<std::string> words;
  std::string word;
  std::size_t count = 0;
  while (!text.empty() && words.size() < most) {
    const std::uint32_t code = take(text);
    const std::uint32_t lower = code == kNone ? 0 : all.lower(code);
    if (lower != 0) {
      if (count++ < kMostLetters) append(word, lower);
      if (!text.empty()) continue;
    }
    if (count > 0) words.push_back(std::move(word));
    word.clear();
    count = 0;
  }
  return words;
}

const std::string& tokenizer_digest() { return letters().digest(); }

}  // namespace swallowtail
