#include "trainer/checkpoint/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>
#include <sstream>
#include <utility>

#include "parallel/error.h"
#include "trainer/checkpoint/canonical_json.h"
#include "trainer/files/untrusted_json.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string now_utc() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

/// The record without what is made of it.
std::string hash_of(json record) {
  record.erase("hash");
  record.erase("signature");
  return sha256(canonical_json(record));
}

/// Fills `record` from a line; says what is wrong with it, or nothing.
std::string read_line(std::string_view line, std::int64_t seq, const std::string& prev, const std::string& signer,
                      LedgerRecord& record) {
  const json parsed = parse_untrusted_json(line);
  if (!parsed.is_object()) return "it is no JSON object";
  try {
    // The one text that this value has: catches spaces, doubled keys and other spellings, which the hash cannot see.
    if (canonical_json(parsed) != line) return "it is not in canonical form";
    record = {parsed.at("seq"),     parsed.at("time").get<std::string>(), parsed.at("kind").get<std::string>(),
              parsed.at("payload"), parsed.at("prev").get<std::string>(), parsed.at("hash").get<std::string>()};
    if (record.seq != seq) return fmt::format("record {} stands in its place", record.seq);
    if (record.prev != prev) return fmt::format("it follows {} and the record before has {}", record.prev, prev);
    if (const std::string found = hash_of(parsed); record.hash != found)
      return fmt::format("its hash is {} and its content has {}", record.hash, found);
    const std::string by = parsed.value("signer", "");
    if (!signer.empty() && by != signer) return by.empty() ? "it is not signed" : "it is signed by another key";
    if (by.empty() == parsed.contains("signature")) return "it has a signature and no signer, or the reverse";
    if (!by.empty() && !is_signed_by(record.hash, parsed.at("signature").get<std::string>(), by))
      return "its signature is wrong";
    return {};
  } catch (const json::exception&) {
    return "a field is missing or of the wrong kind";
  } catch (const Error& error) {
    return error.fact();
  }
}

}  // namespace

LedgerCheck check_ledger(std::string_view text, const LedgerExpectation& expected) {
  LedgerCheck check;
  check.head = std::string(kNoRecord);
  bool has_head = expected.head.empty();
  for (std::int64_t seq = 0; !text.empty(); ++seq) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) {
      check.torn_bytes = static_cast<std::int64_t>(text.size());
      break;
    }
    LedgerRecord record;
    check.fact = read_line(text.substr(0, end), seq, check.head, expected.signer, record);
    if (!check.fact.empty()) {
      check.first_bad = seq;
      return check;
    }
    check.head = record.hash;
    has_head = has_head || record.hash == expected.head;
    check.records.push_back(std::move(record));
    text.remove_prefix(end + 1);
  }
  if (!has_head) {
    check.first_bad = static_cast<std::int64_t>(check.records.size());
    check.fact = fmt::format("the published head {} is not in the ledger: its end was removed, or all was rewritten",
                             expected.head);
  }
  return check;
}

LedgerCheck check_ledger_file(const fs::path& path, const LedgerExpectation& expected) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error{ExitCode::damaged, "the run has no ledger", path.string(), "restore it from a copy"};
  std::ostringstream text;
  text << in.rdbuf();
  return check_ledger(text.str(), expected);
}

std::vector<MergedRecord> merge_ledgers(std::span<const std::pair<std::string, LedgerCheck>> ledgers) {
  std::vector<MergedRecord> merged;
  std::vector<std::size_t> next(ledgers.size(), 0);
  for (;;) {
    std::optional<std::size_t> earliest;
    for (std::size_t i = 0; i < ledgers.size(); ++i) {
      if (next[i] == ledgers[i].second.records.size()) continue;
      const auto time_of = [&](std::size_t of) -> const std::string& {
        return ledgers[of].second.records[next[of]].time;
      };
      if (!earliest || time_of(i) < time_of(*earliest)) earliest = i;
    }
    if (!earliest) return merged;
    merged.push_back({ledgers[*earliest].first, ledgers[*earliest].second.records[next[*earliest]++]});
  }
}

std::unique_ptr<Ledger> Ledger::open(const fs::path& path, std::optional<SigningKey> key) {
  std::string text;
  if (std::ifstream in(path, std::ios::binary); in) {
    std::ostringstream all;
    all << in.rdbuf();
    text = all.str();
  }
  const LedgerCheck check = check_ledger(text);
  if (check.first_bad)
    throw Error{ExitCode::damaged, fmt::format("record {} of the ledger is bad: {}", *check.first_bad, check.fact),
                fmt::format("{}:{}", path.string(), *check.first_bad + 1),
                "restore it from a copy, or move it away to begin another"};
  std::unique_ptr<Ledger> ledger(new Ledger(path, std::move(key)));
  ledger->next_ = static_cast<std::int64_t>(check.records.size());
  ledger->head_ = check.head;
  if (check.torn_bytes > 0) {
    const auto size = static_cast<std::int64_t>(text.size());
    ledger->file_.truncate(size - check.torn_bytes);
    ledger->append("recovered",
                   {{"torn_bytes", check.torn_bytes},
                    {"torn_sha256", sha256(std::string_view(text).substr(text.size() - check.torn_bytes))}});
  }
  return ledger;
}

std::string Ledger::append(std::string_view kind, const json& payload) {
  const std::scoped_lock lock(mutex_);
  json record = {
      {"seq", next_}, {"time", now_utc()}, {"kind", kind}, {"payload", with_decimals(payload)}, {"prev", head_}};
  if (key_) record["signer"] = key_->public_hex();
  const std::string hash = hash_of(record);
  record["hash"] = hash;
  if (key_) record["signature"] = key_->sign(hash);
  const std::int64_t before = file_.size();
  file_.append(canonical_json(record) + "\n");
  try {
    file_.sync();
  } catch (const Error&) {
    file_.truncate(before);
    throw;
  }
  ++next_;
  head_ = hash;
  return hash;
}

std::string Ledger::head() const {
  const std::scoped_lock lock(mutex_);
  return head_;
}

}  // namespace swallowtail
