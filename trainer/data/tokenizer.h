// Words of a text: stretches of Unicode letters and digits in lower case; everything else, bytes that are no UTF-8
// included, stands between words. Letters, digits and cases are those of the C library's own UTF-8 locale, whatever
// locale the machine is set to; another C library may know other letters, so tokenizer_digest() goes wherever a
// vocabulary is stored. Any number of threads may call these.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace swallowtail {

/// The words in their order; at most `most`. A word is cut after 64 letters.
std::vector<std::string> words_of(std::string_view text, std::size_t most = static_cast<std::size_t>(-1));

/// 16 hexadecimal digits of what words_of() makes of every code point. Errors: resources without a UTF-8 locale.
const std::string& tokenizer_digest();

}  // namespace swallowtail
