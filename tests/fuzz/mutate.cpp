#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <random>
#include <string_view>

namespace swallowtail::fuzz {

std::string mutate(std::string text, std::uint64_t seed) {
  // What means something to YAML, delimited text, JSON, or to whoever reads a number.
  static constexpr std::string_view kPieces[]{"\"",
                                              "'",
                                              ",",
                                              "\t",
                                              "\n",
                                              "\r\n",
                                              "\r",
                                              ":",
                                              ": ",
                                              "- ",
                                              "-",
                                              "nan",
                                              "1e999",
                                              "\xff",
                                              "?",
                                              "|",
                                              " ",
                                              "\"\"",
                                              "&a",
                                              "*a",
                                              "!!str",
                                              "<<",
                                              "{",
                                              "}",
                                              "[",
                                              "]",
                                              "[[[[[[[[[[",
                                              "{\"a\":",
                                              "%",
                                              "@",
                                              "`",
                                              "\\",
                                              "\\u0000",
                                              "\xef\xbb\xbf",
                                              "../",
                                              "/",
                                              "99999999999999999999",
                                              "0x10",
                                              "010",
                                              "~",
                                              "null",
                                              "true",
                                              "#",
                                              "=",
                                              "$",
                                              "${HOME}"};
  static constexpr std::string_view kNumbers[]{"1152921504606846976", "18446744073709551615", "-1", "0", "1e300", "0.5",
                                               "2147483648"};
  std::mt19937_64 random(seed);
  const auto below = [&](std::size_t bound) {
    return static_cast<std::size_t>(random() % std::max<std::size_t>(bound, 1));
  };
  for (std::size_t damages = 1 + below(4); damages > 0 && !text.empty(); --damages) {
    const std::size_t at = below(text.size()), length = 1 + below(20);
    switch (below(10)) {
      case 0:
        text[at] = static_cast<char>(below(256));
        break;
      case 1:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 2:
        text.erase(at, length);
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), 3 * length));
        break;
      case 4:
        text.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 5:
        text.insert(at, std::string(1 + below(4), '\0'));
        break;
      case 6: {
        const std::size_t digit = text.find_first_of("0123456789", at);
        if (digit == std::string::npos) break;
        text.replace(digit, text.find_first_not_of("0123456789", digit) - digit, kNumbers[below(std::size(kNumbers))]);
        break;
      }
      case 7:
        std::rotate(text.begin() + static_cast<std::ptrdiff_t>(at),
                    text.begin() + static_cast<std::ptrdiff_t>(at + below(text.size() - at)), text.end());
        break;
      case 8: {  // a line lost or doubled
        const std::size_t begin = text.rfind('\n', at) + 1, end = std::min(text.find('\n', at), text.size() - 1) + 1;
        if (begin >= end) break;
        if (const std::string line = text.substr(begin, end - begin); below(2) == 0)
          text.erase(begin, line.size());
        else
          text.insert(begin, line);
        break;
      }
      default:
        if (below(4) == 0) text.resize(at);
    }
  }
  return text;
}

}  // namespace swallowtail::fuzz
