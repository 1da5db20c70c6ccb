// Fields as words of 64 bits, a register of them at a time. Included by each variant after its lanes and its `product`
// of the lower halves.

namespace swallowtail::cpu {
namespace {

using namespace criteo;

using Words = std::uint64_t __attribute__((vector_size(8 * kWordLanes)));
using Halves = std::int32_t __attribute__((vector_size(4 * kWordLanes)));

constexpr std::uint64_t kOnes = 0x0101010101010101U, kHigh = 0x80U * kOnes, kLower32 = 0xffffffffU;

Words load(const std::uint64_t* from) {
  Words words;
  std::memcpy(&words, from, sizeof words);
  return words;
}

bool any_bit(Words words) {
  std::uint64_t any = 0;
  for (int lane = 0; lane < kWordLanes; ++lane) any |= words[lane];
  return any != 0;
}

/// The first eight bytes of every field, and how long it is. Bytes behind a field's end are its neighbours'.
template <std::size_t kEach>
struct Fields {
  alignas(64) std::uint64_t words[kGroup * kEach], sizes[kGroup * kEach];

  void take(const char* text, const std::uint32_t* marks, std::size_t line) {  // marks[0]: the one before the first
    for (std::size_t f = 0; f < kEach; ++f) std::memcpy(words + line * kEach + f, text + marks[f] + 1, 8);
    for (std::size_t f = 0; f < kEach; ++f) sizes[line * kEach + f] = marks[f + 1] - marks[f] - 1;
  }
};

/// Numbers of up to eight digits from words that hold them in their upper bytes, the first digit lowest; the bytes
/// below are zero. Pairs of digits first, then fours.
Words number_of(Words digits) {
  const Words pairs = (digits * 10 + (digits >> 8)) & 0x00ff00ff00ff00ffU;
  const Words fours = (pairs * 100 + (pairs >> 16)) & 0x0000ffff0000ffffU;
  return (product(fours, Words{} + 10000) + (fours >> 32)) & kLower32;
}

/// False where one is unusual.
bool decode_integers(const Fields<kIntegers>& fields, std::int32_t* out) {
  Words unusual{};
  for (std::size_t i = 0; i < kGroup * kIntegers; i += kWordLanes) {
    const Words word = load(fields.words + i), size = load(fields.sizes + i);
    const auto is_empty = reinterpret_cast<Words>(size == 0);
    const auto is_negative = reinterpret_cast<Words>((word & 0xffU) == '-') & ~is_empty;  // all bits, or none
    const Words count = size + is_negative;                                               // of digits
    // The last digit to the top, in two steps: none may be as wide as the word.
    const Words step = (32 - 4 * count) & 63U;
    const Words digits = ((word >> (is_negative & 8U)) << step) << step;
    const Words values = digits ^ (((Words{} + 0x30U * kOnes) << step) << step);
    unusual |= ((values | (values + 6 * kOnes)) & (0xf0U * kOnes)) |
               (reinterpret_cast<Words>(count == 0) & is_negative) | reinterpret_cast<Words>(size > 8);
    const Words number = (number_of(values) ^ is_negative) - is_negative;
    const Halves values32 =
        __builtin_convertvector((number & ~is_empty) | (static_cast<std::uint64_t>(kMissing) & is_empty), Halves);
    std::memcpy(out + i, &values32, sizeof values32);
  }
  return !any_bit(unusual);
}

/// The bit above ASCII's seven in every byte that is no hexadecimal digit (after Lamport, CACM 1975).
Words no_digits(Words word) {
  const Words lower = (word | 0x20U * kOnes) | kHigh, plain = word | kHigh;
  const Words digit = (plain - '0' * kOnes) & ~(plain - ('9' + 1) * kOnes);
  const Words letter = (lower - 'a' * kOnes) & ~(lower - ('f' + 1) * kOnes);
  return ~((digit | letter) & ~word) & kHigh;
}

/// random::mix.
Words mix(Words x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// random::below(x, n).
Words below(Words x, Words n) { return (product(x >> 32, n) + (product(x, n) >> 32)) >> 32; }

template <bool kHasModulus>
bool decode_categories(const Fields<kCategories>& fields, const CriteoHashes& hashes, std::int64_t* ids) {
  Words unusual{};
  for (std::size_t i = 0; i < kGroup * kCategories; i += kWordLanes) {
    const auto of = [&](const CriteoHashes::Each& each) { return load(each.data() + i); };
    const Words word = load(fields.words + i), size = load(fields.sizes + i);
    const auto is_empty = reinterpret_cast<Words>(size == 0);
    unusual |= (no_digits(word) | (size ^ 8U)) & ~is_empty;
    Words id = of(hashes.first) + below(mix(of(hashes.start) ^ word), of(hashes.range));
    // The remainder of 32 bits without a division (Lemire, Kaser and Kurz, Software: Practice and Experience 2019).
    if (kHasModulus) id = below(of(hashes.reciprocal) * id, of(hashes.modulus));
    id = (id & ~is_empty) | (of(hashes.missing) & is_empty);
    std::memcpy(ids + i, &id, sizeof id);
  }
  return !any_bit(unusual);
}

bool decode(const CriteoText& lines, const CriteoHashes& hashes, CriteoGroup& out, std::int64_t* ids) {
  Fields<kIntegers> integers;
  Fields<kCategories> categories;
  std::uint32_t begin = lines.begin;
  bool are_labels = true;
  for (std::size_t line = 0; line < kGroup; ++line) {
    const std::uint32_t* const marks = lines.marks + line * kFields;
    const char label = lines.text[begin];
    are_labels &= marks[0] == begin + 1 && (label & ~1) == '0';
    out.labels[line] = static_cast<float>(label & 1);
    integers.take(lines.text, marks, line);
    categories.take(lines.text, marks + kIntegers, line);
    std::uint64_t& last = categories.sizes[line * kCategories + kCategories - 1];
    begin = marks[kFields - 1] + 1;
    last -= last > 0 && lines.text[begin - 2] == '\r';
  }
  return are_labels && decode_integers(integers, out.integers.data()) &&
         (hashes.has_modulus ? decode_categories<true> : decode_categories<false>)(categories, hashes, ids);
}

constexpr CriteoFamily kFamily{decode};

}  // namespace
}  // namespace swallowtail::cpu
