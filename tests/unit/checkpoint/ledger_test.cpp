#include "trainer/checkpoint/ledger.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <random>
#include <sstream>

#include "parallel/error.h"
#include "tests/unit/report/temporary_folder.h"
#include "trainer/checkpoint/canonical_json.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {

using nlohmann::json;

TEST(CanonicalJson, Golden) {
  const json value = {{"b", {true, nullptr, "\u00e9"}}, {"a", 1}};
  EXPECT_EQ(canonical_json(value), "{\"a\":1,\"b\":[true,null,\"\u00e9\"]}");
  EXPECT_EQ(sha256(canonical_json(value)), "9488dd13ca33d3291f5a91a1833dfa164811755ffba538c2b340780f8c31a0cb");
}

TEST(CanonicalJson, RefusesWhatHasManyTexts) {
  EXPECT_THROW(canonical_json({{"a", {1, 0.5}}}), Error);
  EXPECT_THROW(canonical_json("\xff"), Error);
  EXPECT_THROW(with_decimals(std::numeric_limits<double>::quiet_NaN()), Error);
  EXPECT_EQ(canonical_json(with_decimals({{"a", {0.1, 1e300, -0.0, 3}}})), R"({"a":["0.1","1e+300","-0",3]})");
}

class LedgerTest : public ::testing::Test {
 protected:
  std::filesystem::path path() const { return folder_ / "ledger.jsonl"; }
  /// `count` records; their hashes.
  std::vector<std::string> write(int count, std::optional<SigningKey> key = {}) const {
    std::filesystem::remove(path());
    const auto ledger = Ledger::open(path(), std::move(key));
    std::vector<std::string> hashes;
    for (int i = 0; i < count; ++i)
      hashes.push_back(ledger->append("checkpoint", {{"step", i * 10}, {"loss", 1.0 / (i + 1)}, {"name", "\u00e9"}}));
    EXPECT_EQ(ledger->head(), hashes.back());
    return hashes;
  }
  std::filesystem::path make_key(const std::string& name) const {
    const auto pem = folder_ / name;
    const std::string command = fmt::format("openssl genpkey -algorithm ed25519 -out '{}' 2>&1", pem.string());
    EXPECT_EQ(std::system(command.c_str()), 0);
    return pem;
  }
  TemporaryFolder folder_;
};

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line + "\n");
  return lines;
}
std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

TEST_F(LedgerTest, IsGoodAsItWasWrittenAndGoesOn) {
  write(5);
  Ledger::open(path(), {})->append("resume", {{"step", 40}});
  const LedgerCheck check = check_ledger_file(path());
  EXPECT_FALSE(check.first_bad) << check.fact;
  ASSERT_EQ(check.records.size(), 6U);
  EXPECT_EQ(check.records[0].prev, kNoRecord);
  EXPECT_EQ(check.records[5].prev, check.records[4].hash);
  EXPECT_EQ(check.records[3].payload.at("loss"), "0.25");
  EXPECT_THROW(check_ledger_file(folder_ / "none"), Error);
}

TEST_F(LedgerTest, ARecordsHashIsThatOfItsCanonicalTextWithoutIt) {
  write(1);
  json record = json::parse(read_text(path()));
  const std::string hash = record.at("hash");
  record.erase("hash");
  EXPECT_EQ(sha256(record.dump()), hash);
}

TEST_F(LedgerTest, AThousandRandomChangesAreFoundAndTheFirstBadRecordIsNamed) {
  for (const bool is_signed : {false, true}) {
    std::optional<SigningKey> key;
    if (is_signed) key = SigningKey::load(make_key("key.pem"));
    const auto hashes = write(20, key);
    const std::string good = read_text(path());
    const std::vector<std::string> lines = lines_of(good);
    std::mt19937_64 random(7);
    const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
    for (int round = 0; round < 1000; ++round) {
      std::vector<std::string> changed = lines;
      std::size_t first = 0;
      std::string what;
      switch (round % 6) {
        case 0: {  // any byte becomes any other; a new line feed cuts the record, a lost one joins two
          std::string text = good;
          const std::size_t at = below(text.size() - 1);  // of the last line feed: see the torn line
          const char to = static_cast<char>(text[at] ^ static_cast<char>(1 + below(255)));
          first =
              static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
          what = fmt::format("byte {} from {} to {}", at, static_cast<int>(text[at]), static_cast<int>(to));
          text[at] = to;
          changed = {text};
          break;
        }
        case 1:
          first = below(lines.size() - 1);  // the last one's removal is a truncation
          changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(first));
          what = "removed";
          break;
        case 2: {
          const std::size_t a = below(lines.size()), b = (a + 1 + below(lines.size() - 1)) % lines.size();
          std::swap(changed[a], changed[b]);
          first = std::min(a, b);
          what = "swapped";
          break;
        }
        case 3:
          first = 1 + below(lines.size() - 1);  // cut after `first` records: only a published head shows it
          changed.resize(first);
          what = "cut";
          break;
        case 4: {
          const std::size_t from = below(lines.size());
          first = below(lines.size());
          if (from == first) first = (first + 1) % lines.size();
          changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(first), lines[from]);
          what = "doubled";
          break;
        }
        case 5: {  // an edit with a new hash, as somebody would do who knows the format
          first = below(lines.size());
          json record = json::parse(lines[first]);
          record["payload"]["step"] = 7 + record["payload"]["step"].get<int>();
          record.erase("hash");
          json unsigned_record = record;
          unsigned_record.erase("signature");
          record["hash"] = sha256(unsigned_record.dump());
          changed[first] = record.dump() + "\n";
          // That record is as it should be, unless it had to be signed; the one after it is not.
          if (!is_signed) ++first;
          what = "edited";
          break;
        }
      }
      const LedgerCheck check = check_ledger(joined(changed), {.head = hashes.back()});
      ASSERT_TRUE(check.first_bad) << what << " " << first << " was not found";
      EXPECT_EQ(*check.first_bad, static_cast<std::int64_t>(first)) << what << ": " << check.fact;
    }
  }
}

TEST_F(LedgerTest, TheSignerIsAskedFor) {
  const SigningKey mine = SigningKey::load(make_key("mine.pem")), other = SigningKey::load(make_key("other.pem"));
  EXPECT_EQ(public_key_of(folder_ / "mine.pem"), mine.public_hex());
  write(3, other);
  EXPECT_EQ(check_ledger_file(path(), {.signer = mine.public_hex()}).first_bad, 0);
  EXPECT_FALSE(check_ledger_file(path(), {.signer = other.public_hex()}).first_bad);
  write(3);
  EXPECT_EQ(check_ledger_file(path(), {.signer = mine.public_hex()}).first_bad, 0);
  write_text(folder_ / "no.pem", "nonsense");
  EXPECT_THROW(SigningKey::load(folder_ / "no.pem"), Error);
}

TEST_F(LedgerTest, SignaturesAreThoseOfTheStandard) {  // RFC 8032, section 7.1, test 2: one byte, 0x72
  EXPECT_TRUE(is_signed_by("\x72",
                           "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                           "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                           "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
  EXPECT_FALSE(is_signed_by("\x73",
                            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
}

TEST_F(LedgerTest, ATornLastLineIsCutOffAndRecorded) {
  write(4);
  const std::string good = read_text(path());
  const std::size_t last = good.rfind('\n', good.size() - 2) + 1;
  for (std::size_t size = last + 1; size < good.size(); size += 17) {
    write_text(path(), good.substr(0, size));
    const LedgerCheck torn = check_ledger_file(path());
    EXPECT_FALSE(torn.first_bad);
    EXPECT_EQ(torn.torn_bytes, static_cast<std::int64_t>(size - last));
    Ledger::open(path(), {});
    const LedgerCheck check = check_ledger_file(path());
    EXPECT_FALSE(check.first_bad) << check.fact;
    EXPECT_EQ(check.torn_bytes, 0);
    ASSERT_EQ(check.records.size(), 4U);
    EXPECT_EQ(check.records[3].kind, "recovered");
    EXPECT_EQ(check.records[3].payload.at("torn_bytes"), size - last);
    EXPECT_EQ(check.records[3].payload.at("torn_sha256"), sha256(good.substr(last, size - last)));
  }
}

TEST_F(LedgerTest, ABadOneIsNotContinued) {
  write(4);
  auto lines = lines_of(read_text(path()));
  std::swap(lines[1], lines[2]);
  write_text(path(), joined(lines));
  try {
    Ledger::open(path(), {});
    FAIL() << "a ledger with swapped records was continued";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::damaged);
    EXPECT_NE(error.message().find("record 1 of the ledger is bad: record 2 stands in its place"), std::string::npos)
        << error.message();
    EXPECT_TRUE(error.where().ends_with("ledger.jsonl:2")) << error.where();
  }
}

TEST_F(LedgerTest, TwoLedgersMergeByTimeEachInItsOwnOrder) {
  const auto at = [](std::int64_t seq, const char* time) { return LedgerRecord{seq, time, "run", {}, "", ""}; };
  std::vector<std::pair<std::string, LedgerCheck>> ledgers(2);
  ledgers[0] = {"a", {.records = {at(0, "2026-01-01"), at(1, "2026-01-05"), at(2, "2026-01-02")}}};
  ledgers[1] = {"b", {.records = {at(0, "2026-01-03"), at(1, "2026-01-04")}}};
  std::string order;
  for (const MergedRecord& merged : merge_ledgers(ledgers))
    order += fmt::format("{}{} ", merged.ledger, merged.record.seq);
  EXPECT_EQ(order, "a0 b0 b1 a1 a2 ");  // a's clock went back: its order is that of its chain all the same
}

}  // namespace
}  // namespace swallowtail
