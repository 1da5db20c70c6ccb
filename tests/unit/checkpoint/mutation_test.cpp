// Thousands of changed manifests: each is refused with a line, or says the same as before. Nothing is allocated that
// the files could not fill.
#include "tests/fuzz/mutate.h"
#include "tests/unit/checkpoint/checkpoint_fixture.h"
#include "trainer/checkpoint/ledger.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {

constexpr std::uint64_t kRounds = 10000;

class MutationTest : public CheckpointTest {};

TEST_F(MutationTest, ManifestsAreRefusedOrMeanTheSame) {
  save(1, 3, 20, {});
  const std::string good = read_text(step_folder(1) / kManifestName);
  std::uint64_t refused = 0, taken = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const std::string text = fuzz::mutate(good, round);
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
  EXPECT_GT(taken, 0u) << "a step or a time that changed is not seen without the digest";
}

TEST_F(MutationTest, CheckpointsWithARightDigestAndAWrongManifestAreRefusedOrRead) {
  save(1, 3, 20, {});
  const std::filesystem::path manifest = step_folder(1) / kManifestName, sums = step_folder(1) / kSumsName;
  const std::string good = read_text(manifest);
  std::uint64_t refused = 0;
  for (std::uint64_t round = 0; round < 1000; ++round) {
    const std::string text = fuzz::mutate(good, round);
    write_text(manifest, text);
    write_text(sums, sha256(text) + "  manifest.json\n");
    refused += damage(1).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 200u);
}

TEST_F(MutationTest, LedgersNeverCrash) {
  {
    const auto ledger = Ledger::open(temporary_ / "ledger.jsonl", {});
    for (int i = 0; i < 5; ++i) ledger->append("run", {{"i", i}, {"x", 0.5}});
  }
  const std::string good = read_text(temporary_ / "ledger.jsonl");
  std::uint64_t found = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    const LedgerCheck check = check_ledger(fuzz::mutate(good, round));
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
