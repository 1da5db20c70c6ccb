// The known word that a misspelt one most likely meant, for "did you mean".
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace swallowtail {

/// The fewest insertions, deletions, replacements and swaps of neighbouring characters that turn `a` into `b` (optimal
/// string alignment). Letters count as equal in either case, and so do '-' and '_'.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The word of `known` with the least edit distance to `word`; the first of equals. Empty where nothing is near: more
/// than a third of the longer word's characters (but one is always forgiven) would have to change.
std::string nearest(std::string_view word, std::span<const std::string_view> known);

/// "did you mean 'X'?" for the nearest known word, or "known are A, B, …" where none is near and the list is short
/// (else empty): the advice of an Error.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace swallowtail
