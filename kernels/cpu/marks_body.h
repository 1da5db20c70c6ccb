// The search for marks in words of 64 bytes. Included by each variant after Bytes, whose equal() gives the bits of the
// bytes that are the one it was made of.

namespace swallowtail::cpu {
namespace {

/// Positions of the set bits behind `out`, many at a time: a loop whose length the processor can guess is worth more
/// than the stores that it saves.
inline std::uint32_t* put_bits(std::uint64_t bits, std::uint32_t base, std::uint32_t* out) {
  constexpr int kFirst = 12, kMore = 4;  // 64 bytes of Criteo's fields hold nine marks
  const int count = __builtin_popcountll(bits);
  const auto put = [&](int places, std::uint32_t* to) {
    for (int k = 0; k < places; ++k, bits &= bits - 1) to[k] = base + static_cast<std::uint32_t>(_tzcnt_u64(bits));
  };
  put(kFirst, out);
  for (int done = kFirst; done < count; done += kMore) put(kMore, out + done);
  return out + count;
}

MarkCounts find(const char* text, std::uint32_t size, char delimiter, std::uint32_t* marks, std::uint32_t* feeds) {
  std::uint32_t *mark = marks, *feed = feeds;
  const Bytes delimiters(delimiter), line_feeds('\n');
  std::uint32_t at = 0;
  for (; at + 64 <= size; at += 64) {
    std::uint64_t ends = line_feeds.equal(text + at);
    const std::uint64_t bits = ends | delimiters.equal(text + at);
    const auto before = static_cast<std::uint32_t>(mark - marks);
    const auto up_to_first_end = [&] {
      return before + static_cast<std::uint32_t>(__builtin_popcountll(bits & (ends ^ (ends - 1))));
    };
    // Lines are seldom so short that a word of text holds two ends, and whether it holds one cannot be guessed.
    *feed = up_to_first_end();
    feed += ends != 0;
    for (ends &= ends - 1; ends != 0; ends &= ends - 1) *feed++ = up_to_first_end();
    mark = put_bits(bits, at, mark);
  }
  for (; at < size; ++at) {
    if (text[at] != delimiter && text[at] != '\n') continue;
    *mark++ = at;
    if (text[at] == '\n') *feed++ = static_cast<std::uint32_t>(mark - marks);
  }
  return {mark - marks, feed - feeds};
}

std::int64_t count(const char* text, std::int64_t size, char byte) {
  const Bytes bytes(byte);
  std::int64_t total = 0, at = 0;
  for (; at + 64 <= size; at += 64) total += __builtin_popcountll(bytes.equal(text + at));
  for (; at < size; ++at) total += text[at] == byte;
  return total;
}

constexpr MarksFamily kFamily{find, count};

}  // namespace
}  // namespace swallowtail::cpu
