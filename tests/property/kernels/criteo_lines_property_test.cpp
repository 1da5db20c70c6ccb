// Eight lines at once give what each field gives alone, under every instruction set, and are refused where one byte of
// them is out of place.
#include "kernels/criteo_lines.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/marks.h"
#include "kernels/random.h"
#include "tests/property/draws.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

using namespace criteo;

using test::Draws;

using Fields = std::vector<std::string>;

Fields draw_fields(Draws& draw) {
  Fields fields;
  for (std::size_t line = 0; line < kGroup; ++line) {
    fields.push_back(draw(2) == 0 ? "0" : "1");
    for (std::size_t i = 0; i < kIntegers; ++i) {
      const std::uint64_t digits = draw(9);
      std::string number = draw(5) == 0 && digits > 0 && digits < 8 ? "-" : "";
      for (std::uint64_t k = 0; k < digits; ++k) number += static_cast<char>('0' + draw(10));
      fields.push_back(number);
    }
    for (std::size_t c = 0; c < kCategories; ++c) {
      std::string category;
      for (int k = 0; k < 8 && (category.size() > 0 || draw(6) > 0); ++k)
        category += "0123456789abcdefABCDEF"[draw(22)];
      fields.push_back(category.size() == 8 ? category : "");
    }
  }
  return fields;
}

std::string text_of(const Fields& fields, bool has_returns) {
  std::string text = "x\n";  // a group begins anywhere
  for (std::size_t f = 0; f < fields.size(); ++f)
    text += fields[f] + (f % kFields + 1 < kFields ? "\t" : has_returns ? "\r\n" : "\n");
  return text + "12345678";
}

CriteoHashes draw_hashes(Draws& draw) {
  CriteoHashes hashes;
  hashes.has_modulus = draw(2) == 0;
  for (std::size_t c = 0; c < kCategories; ++c) {
    const std::uint64_t start = random::mix(draw(~0ULL)), range = draw(3) == 0 ? 0xffffffffU : draw(2'000'000);
    const std::uint64_t modulus = draw(4) == 0 ? 1 + draw(3) : 1 + draw(0xfffffffeU), missing = draw(100);
    for (std::size_t at = c; at < CriteoHashes::kSize; at += kCategories) {
      hashes.start[at] = start;
      hashes.range[at] = range;
      hashes.first[at] = range > 0 && range < 0xffffffffU ? 1 : 0;
      hashes.missing[at] = missing;
      hashes.modulus[at] = modulus;
      hashes.reciprocal[at] = ~0ULL / modulus + 1;
    }
  }
  return hashes;
}

struct Decoded {
  std::vector<float> labels;
  std::vector<std::int32_t> integers;
  std::vector<std::int64_t> ids;
  bool operator==(const Decoded&) const = default;
};

Decoded decode_alone(const Fields& fields, const CriteoHashes& hashes) {
  Decoded all;
  for (std::size_t f = 0; f < fields.size(); ++f) {
    const std::string& text = fields[f];
    const std::size_t column = f % kFields;
    if (column == 0) {
      all.labels.push_back(text == "1" ? 1.0F : 0.0F);
    } else if (column <= kIntegers) {
      std::int32_t value = kMissing;
      std::from_chars(text.data(), text.data() + text.size(), value);
      all.integers.push_back(value);
    } else {
      const std::size_t at = all.ids.size();
      std::uint64_t word = 0, id = hashes.missing[at];
      std::memcpy(&word, text.data(), text.size());
      if (!text.empty()) {
        id = hashes.first[at] + static_cast<std::uint64_t>(random::below(random::mix(hashes.start[at] ^ word),
                                                                         static_cast<std::int64_t>(hashes.range[at])));
        if (hashes.has_modulus) id %= hashes.modulus[at];
      }
      all.ids.push_back(static_cast<std::int64_t>(id));
    }
  }
  return all;
}

/// Nothing where the group is refused or is no group.
std::optional<Decoded> decode_together(const std::string& text, const CriteoHashes& hashes) {
  std::vector<std::uint32_t> marks(text.size() + 16), feeds(text.size() + 1);
  const MarkCounts counts = find_marks(text, '\t', marks.data(), feeds.data());
  if (counts.feeds != 1 + kGroup) return {};
  for (std::size_t line = 0; line <= kGroup; ++line)
    if (feeds[line] != 1 + line * kFields) return {};
  CriteoGroup group;
  Decoded all{.labels = {}, .integers = {}, .ids = std::vector<std::int64_t>(CriteoHashes::kSize)};
  if (!decode_criteo({text.data(), marks[0] + 1, marks.data() + 1}, hashes, group, all.ids.data())) return {};
  all.labels.assign(group.labels.begin(), group.labels.end());
  all.integers.assign(group.integers.begin(), group.integers.end());
  return all;
}

template <typename Check>
void under_every_isa(const Check& check) {
  for (Isa isa = Isa::scalar; isa <= best_isa(); isa = static_cast<Isa>(static_cast<int>(isa) + 1)) {
    const UsesIsa use(isa);
    check(name_of(isa));
  }
}

TEST(CriteoLines, TogetherAreWhatEachFieldIsAlone) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Draws draw(seed, "criteo lines");
    const Fields fields = draw_fields(draw);
    const CriteoHashes hashes = draw_hashes(draw);
    const Decoded expected = decode_alone(fields, hashes);
    for (const bool has_returns : {false, true})
      under_every_isa([&](std::string_view isa) {
        EXPECT_EQ(decode_together(text_of(fields, has_returns), hashes), expected) << isa << ", seed " << seed;
      });
  }
}

bool is_usual(std::size_t column, std::string_view text) {
  const auto made_of = [&](std::string_view part, std::string_view of) {
    return part.find_first_not_of(of) == std::string_view::npos;
  };
  if (column == 0) return text == "0" || text == "1";
  if (text.empty()) return true;
  if (column > kIntegers) return text.size() == 8 && made_of(text, "0123456789abcdefABCDEF");
  if (text.size() > 8) return false;
  if (text.front() == '-') text.remove_prefix(1);
  return !text.empty() && made_of(text, "0123456789");
}

TEST(CriteoLines, AreTakenWhereEveryFieldIsUsualAndNowhereElse) {
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Draws draw(1000 + seed, "criteo lines");
    Fields fields = draw_fields(draw);
    const CriteoHashes hashes = draw_hashes(draw);
    // One byte of one field: changed, left out or put in.
    const std::size_t place = draw(fields.size());
    std::string& text = fields[place];
    auto byte = static_cast<char>(draw(3) == 0 ? "-0/:@G`g \r"[draw(10)] : draw(256));
    if (byte == '\t' || byte == '\n') byte = '9';
    const std::size_t at = draw(text.size() + 1);
    if (at < text.size() && draw(3) == 0)
      text.erase(at, 1);
    else if (at < text.size() && draw(2) == 0)
      text[at] = byte;
    else
      text.insert(at, 1, byte);
    // Behind the last field of a line it is no part of it.
    const bool has_return = place % kFields + 1 == kFields && text.ends_with('\r');
    if (has_return) text.pop_back();
    const bool usual = is_usual(place % kFields, text);
    refused += usual ? 0 : 1;
    const auto expected = usual ? std::optional(decode_alone(fields, hashes)) : std::nullopt;
    under_every_isa([&](std::string_view isa) {
      EXPECT_EQ(decode_together(text_of(fields, has_return), hashes), expected)
          << isa << ", field " << place << " '" << text << "', seed " << seed;
    });
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace swallowtail
