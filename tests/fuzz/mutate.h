// Damage of the kinds that files suffer and attackers try, drawn from a seed.
#pragma once

#include <cstdint>
#include <string>

namespace swallowtail::fuzz {

/// The text with one to four damages: bytes changed, lost, doubled, moved or put in, lines lost or doubled, the end cut
/// off, numbers made huge.
std::string mutate(std::string text, std::uint64_t seed);

}  // namespace swallowtail::fuzz
