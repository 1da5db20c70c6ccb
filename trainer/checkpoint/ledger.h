// ledger.jsonl: what happened to a run, one JSON line a record, each with the hash of the one before. Whoever changes,
// removes, adds or reorders a record changes every hash after it. docs/LEDGER.md says what that proves and what not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "trainer/checkpoint/signing_key.h"
#include "trainer/files/append_file.h"

namespace swallowtail {

struct LedgerRecord {
  std::int64_t seq = 0;
  std::string time;  // UTC, ISO 8601
  std::string kind;  // run, resume, checkpoint, evaluation, export, end, recovered
  nlohmann::json payload;
  std::string prev, hash;  // SHA-256, hexadecimal
};

struct LedgerExpectation {
  std::string head;    // a hash that was published earlier and must still be there; empty: none
  std::string signer;  // every record must be signed with this public key; empty: signatures are checked where they are
};

struct LedgerCheck {
  std::vector<LedgerRecord> records;      // the good ones, up to the first bad one
  std::optional<std::int64_t> first_bad;  // its seq, as it should be
  std::string fact;                       // what is wrong with it
  std::int64_t torn_bytes = 0;            // of a last line without an end: what a crash leaves
  std::string head;                       // hash of the last good record
};

inline constexpr std::string_view kLedgerName = "ledger.jsonl";
inline constexpr std::string_view kNoRecord = "0000000000000000000000000000000000000000000000000000000000000000";

/// Checks the text of a ledger, line by line. Errors: none; what is wrong stands in the result.
LedgerCheck check_ledger(std::string_view text, const LedgerExpectation& expected = {});
/// The same of a file. Errors: damaged where it is missing.
LedgerCheck check_ledger_file(const std::filesystem::path& path, const LedgerExpectation& expected = {});

/// The records of several ledgers in one list by time: {ledger, record}. Each keeps its own order.
struct MergedRecord {
  std::string ledger;
  LedgerRecord record;
};
std::vector<MergedRecord> merge_ledgers(std::span<const std::pair<std::string, LedgerCheck>> ledgers);

/// The ledger of a run that is being written. Any thread may append. Rank 0 alone.
class Ledger {
 public:
  /// Opens or creates it. A torn last line is cut off and that is recorded. Errors: damaged, naming the first bad
  /// record; resources.
  static std::unique_ptr<Ledger> open(const std::filesystem::path& path, std::optional<SigningKey> key);
  /// Appends and syncs; floating-point numbers are recorded as decimals. Returns the record's hash. Errors: resources;
  /// the file then ends with the record before.
  std::string append(std::string_view kind, const nlohmann::json& payload);
  std::string head() const;

 private:
  Ledger(const std::filesystem::path& path, std::optional<SigningKey> key) : file_(path), key_(std::move(key)) {}
  mutable std::mutex mutex_;
  AppendFile file_;
  std::optional<SigningKey> key_;
  std::int64_t next_ = 0;
  std::string head_{kNoRecord};
};

}  // namespace swallowtail
