// Thousands of changed manifests: each is refused with a line, or says the same as before. Nothing is allocated that
// the files could not fill.
#include <random>

#include "tests/unit/checkpoint/checkpoint_fixture.h"
#include "trainer/checkpoint/ledger.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {

constexpr int kRounds = 10000;

/// Bytes flipped, cut out, doubled, and numbers made huge.
std::string mutated(std::string text, std::mt19937_64& random) {
  const auto below = [&](std::size_t bound) {
    return static_cast<std::size_t>(random() % std::max<std::size_t>(bound, 1));
  };
  for (std::size_t changes = 1 + below(3); changes > 0 && !text.empty(); --changes) {
    const std::size_t at = below(text.size());
    switch (below(5)) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, 1 + below(30));
        break;
      case 2:
        text.insert(at, text.substr(below(text.size()), below(60)));
        break;
      case 3:
        text.resize(at);
        break;
      case 4: {
        const std::size_t digit = text.find_first_of("0123456789", at);
        static const std::array<std::string, 6> kNumbers{
            "1152921504606846976", "18446744073709551615", "-1", "1e300", "0.5", "\"../x\""};
        if (digit != std::string::npos)
          text.replace(digit, text.find_first_not_of("0123456789", digit) - digit, kNumbers[below(kNumbers.size())]);
        break;
      }
    }
  }
  return text;
}

class MutationTest : public CheckpointTest {};

TEST_F(MutationTest, ManifestsAreRefusedOrMeanTheSame) {
  save(1, 3, 20, {});
  const std::string good = read_text(step_folder(1) / kManifestName);
  std::mt19937_64 random(11);
  int refused = 0, taken = 0;
  for (int round = 0; round < kRounds; ++round) {
    const std::string text = mutated(good, random);
    try {
      const Manifest manifest = parse_manifest(text, "manifest.json");
      for (const auto& [name, tensor] : manifest.tensors)
        ASSERT_LE(tensor.offset + tensor.shape.bytes(), manifest.files.at(tensor.file).content) << text;
      for (const BlockIndex& file : manifest.files) ASSERT_TRUE(is_plain_name(file.name)) << text;
      ++taken;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ExitCode::damaged) << text;
      ++refused;
    }
  }
  EXPECT_GT(refused, kRounds / 4);
  EXPECT_GT(taken, 0) << "a step or a time that changed is not seen without the digest";
}

TEST_F(MutationTest, CheckpointsWithARightDigestAndAWrongManifestAreRefusedOrRead) {
  save(1, 3, 20, {});
  const std::filesystem::path manifest = step_folder(1) / kManifestName, sums = step_folder(1) / kSumsName;
  const std::string good = read_text(manifest);
  std::mt19937_64 random(12);
  int refused = 0;
  for (int round = 0; round < 1000; ++round) {
    const std::string text = mutated(good, random);
    write_text(manifest, text);
    write_text(sums, sha256(text) + "  manifest.json\n");
    refused += damage(1).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 200);
}

TEST_F(MutationTest, LedgersNeverCrash) {
  {
    const auto ledger = Ledger::open(temporary_ / "ledger.jsonl", {});
    for (int i = 0; i < 5; ++i) ledger->append("run", {{"i", i}, {"x", 0.5}});
  }
  const std::string good = read_text(temporary_ / "ledger.jsonl");
  std::mt19937_64 random(13);
  int found = 0;
  for (int round = 0; round < kRounds; ++round) {
    const LedgerCheck check = check_ledger(mutated(good, random));
    found += check.first_bad || check.torn_bytes > 0 || check.records.size() < 5 ? 1 : 0;
  }
  EXPECT_GT(found, kRounds * 9 / 10);
}

TEST_F(MutationTest, NestingWithoutEndIsNoCrash) {
  constexpr int kDeep = 300000;
  for (const auto& [open, close] : {std::pair<std::string, std::string>{"[", "]"}, {"{\"a\":", "}"}})
    for (const bool is_closed : {false, true}) {
      std::string text = "{\"format\":2,\"state\":";
      for (int i = 0; i < kDeep; ++i) text += open;
      text += "1";
      for (int i = 0; is_closed && i < kDeep; ++i) text += close;
      text += "}";
      EXPECT_THROW(parse_manifest(text, "manifest.json"), Error);
      EXPECT_EQ(check_ledger(text + "\n").first_bad, 0);
    }
}

}  // namespace
}  // namespace swallowtail
