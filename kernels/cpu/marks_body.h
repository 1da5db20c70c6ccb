// The search for marks in words of 64 bytes. Included by each variant after its `match`, which gives the bits of the
// bytes that are one of two.

namespace swallowtail::cpu {
namespace {

/// Positions of the set bits behind `out`, eight at a time: a word of text seldom holds more, and a loop whose length
/// the processor can guess is worth more than the stores that it saves.
inline std::uint32_t* put_bits(std::uint64_t bits, std::uint32_t base, std::uint32_t* out) {
  const int count = __builtin_popcountll(bits);
  for (int done = 0; done < count; done += 8)
    for (int k = 0; k < 8; ++k) {
      out[done + k] = base + static_cast<std::uint32_t>(__builtin_ctzll(bits | (std::uint64_t{1} << 63)));
      bits &= bits - 1;
    }
  return out + count;
}

std::int64_t find(const char* text, std::uint32_t size, char first, char second, std::uint32_t* out) {
  std::uint32_t* const begin = out;
  const Pair pair(first, second);
  std::uint32_t at = 0;
  for (; at + 64 <= size; at += 64) out = put_bits(pair.match(text + at), at, out);
  for (; at < size; ++at)
    if (text[at] == first || text[at] == second) *out++ = at;
  return out - begin;
}

std::int64_t count(const char* text, std::int64_t size, char byte) {
  const Pair pair(byte, byte);
  std::int64_t total = 0, at = 0;
  for (; at + 64 <= size; at += 64) total += __builtin_popcountll(pair.match(text + at));
  for (; at < size; ++at) total += text[at] == byte;
  return total;
}

constexpr MarksFamily kFamily{find, count};

}  // namespace
}  // namespace swallowtail::cpu
