// Checkpoints: JSON that nobody vouches for, manifests, shards, compressed blocks, keys; and the ledger.
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <zstd.h>

#include <memory>
#include <numeric>

#include "parallel/local_communicator.h"
#include "tests/fuzz/target.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/checkpoint/canonical_json.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/ledger.h"
#include "trainer/checkpoint/signing_key.h"
#include "trainer/checkpoint/table_piece.h"
#include "trainer/files/untrusted_json.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/files/crc32c.h"
#include "trainer/files/sha256.h"

namespace swallowtail::fuzz {
namespace {

const test::TemporaryDirectory& folder() {
  static const test::TemporaryDirectory one;
  return one;
}

Verdict judge_json(std::string_view input) {
  const nlohmann::json value = parse_untrusted_json(input);
  if (value.is_discarded()) return Verdict::refused;
  return taken_unless({ExitCode::damaged, ExitCode::numbers}, [&]() -> void {
    try {
      const std::string text = canonical_json(with_decimals(value));
      expect(canonical_json(parse_untrusted_json(text)) == text, "canonical text reads back to itself");
    } catch (const Error& error) {
      throw Error{error.code(), error.fact(), "fuzzed.json", error.advice()};  // its caller knows the place
    }
  });
}
std::vector<std::string> json_texts() {
  return {"{\"a\":[1,-2.5e3,null,true,\"\\u00e9\\n\"],\"b\":{\"c\":[]},\"d\":18446744073709551615}"};
}

constexpr std::int64_t kRows = 40, kDim = 4;

TablePiece piece_of(int rank, int world_size) {
  const std::int64_t first = kRows * rank / world_size, end = kRows * (rank + 1) / world_size;
  return {"table", "weights", kRows, kDim, false, {rank, first, end - first, 0, kDim}};
}

/// A checkpoint of two ranks, and one that adds to it.
const std::filesystem::path& checkpoints() {
  static const std::filesystem::path path = [] {
    const std::filesystem::path at = folder().path() / "checkpoints";
    for (const std::int64_t step : {1, 2})
      run_ranks(2, [&](Communicator& ranks) {
        const TablePiece whole = piece_of(ranks.rank(), 2);
        std::vector<float> values(static_cast<std::size_t>(whole.shard.rows * kDim));
        std::iota(values.begin(), values.end(), static_cast<float>(ranks.rank()));
        const std::vector<std::int64_t> rows{1, 7, 12};
        const std::string name = fmt::format("table/{}", ranks.rank());
        std::vector<TensorRef> mine{{name, "F32", {whole.shard.rows, kDim}, std::as_bytes(std::span(values)), whole}};
        SaveRecord record{step, {{"step", step}}};
        if (step == 2) {
          TablePiece some = whole;
          some.rows_in = name + "/rows";
          mine = {{name, "F32", {3, kDim}, std::as_bytes(std::span(values).first(12)), some},
                  {some.rows_in, "I64", {3}, std::as_bytes(std::span(rows))}};
          record.base_step = 1;
          record.base_digest = Checkpoint::open(at, 1).digest();
        }
        save_checkpoint(at, record, mine, ranks);
      });
    return at;
  }();
  return path;
}

/// Everything that a checkpoint holds, and the table as one rank and as the second of three wants it.
void read_all(std::int64_t step) {
  const Checkpoint checkpoint = Checkpoint::open(checkpoints(), step);
  std::vector<std::byte> bytes;
  for (const auto& [name, tensor] : checkpoint.manifest().tensors) {
    expect(tensor.shape.bytes() <= 1 << 20, "a tensor is no larger than the files");
    bytes.resize(static_cast<std::size_t>(tensor.shape.bytes()));
    checkpoint.read(name, bytes);
  }
  for (const TablePiece& wanted : {piece_of(0, 1), piece_of(1, 3)}) {
    std::vector<float> part(static_cast<std::size_t>(wanted.shard.rows * kDim));
    fill_table_part(checkpoint, wanted, sizeof(float), std::as_writable_bytes(std::span(part)));
  }
}

std::string manifest_of(std::int64_t step) {
  return test::read_text(checkpoint_folder(checkpoints(), step) / kManifestName);
}

/// A manifest whose digest is right.
Verdict judge_manifest(std::string_view input) {
  static const std::string good = manifest_of(2),
                           sums = test::read_text(checkpoint_folder(checkpoints(), 2) / kSumsName);
  const auto step = checkpoint_folder(checkpoints(), 2);
  const auto put = [&](std::string_view manifest, std::string_view sum) {
    std::ofstream(step / kManifestName, std::ios::binary) << manifest;
    std::ofstream(step / kSumsName, std::ios::binary) << sum;
  };
  put(input, sha256(input) + "  manifest.json\n");
  const Verdict verdict = taken_unless({ExitCode::damaged}, [] { read_all(2); });
  put(good, sums);
  return verdict;
}
std::vector<std::string> manifests() { return {manifest_of(2)}; }

/// A shard whose manifest is right: only the bytes that were saved are taken.
Verdict judge_shard(std::string_view input) {
  const auto path = checkpoint_folder(checkpoints(), 1) / "rank-00001.safetensors";
  static const std::string good = test::read_text(path);
  std::ofstream(path, std::ios::binary) << input;
  const Verdict verdict = taken_unless({ExitCode::damaged}, [] {
    read_all(1);
    Checkpoint::open(checkpoints(), 1).verify(1);
  });
  std::ofstream(path, std::ios::binary) << good;
  expect((verdict == Verdict::taken) == (input == good), "every damage of a shard is found, and nothing else is");
  return verdict;
}
std::vector<std::string> shards() {
  return {test::read_text(checkpoint_folder(checkpoints(), 1) / "rank-00001.safetensors")};
}

constexpr std::int64_t kBlockContent = 3000;

/// A compressed block whose check sum is right.
Verdict judge_block(std::string_view input) {
  folder().write("one.blocks.zst", input);
  BlockIndex index{.name = "one.blocks.zst",
                   .bytes = static_cast<std::int64_t>(input.size()),
                   .content = kBlockContent,
                   .sha256 = sha256(input),
                   .compression = Compression::zstd,
                   .crc32c = {crc32c(input)},
                   .stored_bytes = {static_cast<std::int64_t>(input.size())}};
  return taken_unless({ExitCode::damaged}, [&] {
    BlockReader reader(folder().path(), std::move(index));
    std::vector<std::byte> content(kBlockContent);
    reader.read(0, content);
    expect(reader.verify() == static_cast<std::int64_t>(input.size()), "all of the file was verified");
  });
}
std::vector<std::string> blocks() {
  std::string content(kBlockContent, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i % 251);
  std::string frame(ZSTD_compressBound(content.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), content.data(), content.size(), 1));
  return {frame};
}

Verdict judge_ledger(std::string_view input) {
  const LedgerCheck check = check_ledger(input);
  expect(!check.first_bad || *check.first_bad == static_cast<std::int64_t>(check.records.size()),
         "the first bad record is named");
  expect(check.records.empty() || check.head == check.records.back().hash, "the head is the last good record's hash");
  return check.first_bad ? Verdict::refused : Verdict::taken;
}
std::vector<std::string> ledgers() {
  const auto path = folder().path() / "ledger.jsonl";
  std::filesystem::remove(path);
  const auto ledger = Ledger::open(path, {});
  for (int i = 0; i < 4; ++i)
    ledger->append("checkpoint", {{"step", i}, {"manifest_sha256", std::string(64, 'a')}, {"loss", 1.0 / 3}});
  return {test::read_text(path)};
}

Verdict judge_key(std::string_view input) {
  const auto path = folder().write("key.pem", input);
  return taken_unless({ExitCode::usage}, [&] {
    expect(is_signed_by("text", SigningKey::load(path).sign("text"), public_key_of(path)), "a key signs for itself");
  });
}
std::vector<std::string> keys() {
  const std::vector<unsigned char> secret(32, 7);
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), secret.size()), EVP_PKEY_free);
  const auto path = folder().path() / "seed.pem";
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "w"), std::fclose);
  PEM_write_PrivateKey(file.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  file.reset();
  return {test::read_text(path)};
}

constexpr Target kTargets[]{{"json", judge_json, json_texts},  {"manifest", judge_manifest, manifests},
                            {"shard", judge_shard, shards},    {"block", judge_block, blocks},
                            {"ledger", judge_ledger, ledgers}, {"signing_key", judge_key, keys}};

}  // namespace

std::span<const Target> checkpoint_targets() { return kTargets; }

}  // namespace swallowtail::fuzz
