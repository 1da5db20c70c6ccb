// A run without a model: its state is a formula of the step, and saving and restoring it is all it does. Quick enough
// to be killed at every system call.
//   saver save FOLDER STEP RANKS once|behind [incremental]
//                                               saves that step, retires older ones, appends to the ledger;
//                                               incremental: of steps 2, 3, 5, 6, ... the rows that changed since 1, 4,
//                                               ...
//   saver go-on FOLDER STEP RANKS once|behind [incremental]
//                                               checks, saves that step, checks, saves the next one, checks: after each
//                                               check a line with the step of the newest good checkpoint, every value
//                                               of which was compared
// Exit codes as swallowtail's. A failed save prints its error and ends with 7.
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "parallel/error.h"
#include "parallel/local_communicator.h"
#include "trainer/checkpoint/ledger.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/checkpoint/table_piece.h"
#include "trainer/checkpoint/writer.h"

namespace swallowtail {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRows = kBlockBytes / 32 + 100, kDim = 16;  // more than a block on each of two ranks
constexpr std::int64_t kSmall = 1000;

constexpr std::int64_t kChangesEvery = 7;  // incremental: the other rows are those of the last full checkpoint
constexpr std::int64_t kFullEvery = 3;

std::int64_t full_step_of(std::int64_t step) { return step - (step - 1) % kFullEvery; }

float value_of(std::int64_t step, std::int64_t place) { return static_cast<float>((step * 7919 + place) % 100003); }

TablePiece part_of_rank(int rank, int world_size) {
  const std::int64_t first = kRows * rank / world_size, end = kRows * (rank + 1) / world_size;
  return {"table", "weights", kRows, kDim, true, {rank, first, end - first, 0, kDim}};
}

/// What a rank saves, and the memory that it lies in.
struct State {
  std::vector<float> table, small;
  std::vector<std::int64_t> rows;
  std::vector<TensorRef> tensors;

  State(std::int64_t step, std::int64_t base, const TablePiece& piece) : small(kSmall) {
    const RowOrder order = piece.order();
    for (std::int64_t i = 0; i < piece.shard.rows; ++i) {
      const std::int64_t row = order.row_at(piece.shard.first_row + i);
      const bool changes = row % kChangesEvery == 0;
      if (base != step && !changes) continue;
      rows.push_back(i);
      for (std::int64_t d = 0; d < kDim; ++d) table.push_back(value_of(step, row * kDim + d));
    }
    const std::string name = fmt::format("table/{}", piece.shard.rank);
    TablePiece written = piece;
    const auto count = static_cast<std::int64_t>(rows.size());
    if (base != step) {
      written.rows_in = name + "/rows";
      tensors.push_back({written.rows_in, "I64", {count}, std::as_bytes(std::span(rows))});
    }
    tensors.push_back({name, "F32", {count, kDim}, std::as_bytes(std::span(table)), written});
    for (std::int64_t i = 0; i < kSmall; ++i) small[static_cast<std::size_t>(i)] = value_of(step, -i);
    if (piece.shard.rank == 0) tensors.push_back({"small", "F32", {kSmall}, std::as_bytes(std::span(small))});
  }
};

void save(const fs::path& folder, std::int64_t step, int world_size, bool behind, bool incremental) {
  const auto ledger = Ledger::open(folder / kLedgerName, {});
  const fs::path checkpoints = folder / "checkpoints";
  run_ranks(world_size, [&](Communicator& ranks) {
    SaveRecord record{step, {{"step", step}}};
    const std::int64_t base = incremental ? full_step_of(step) : step;
    if (base != step) {
      record.base_step = base;
      record.base_digest = Checkpoint::open(checkpoints, base).digest();
    }
    const State state(step, base, part_of_rank(ranks.rank(), world_size));
    const auto published = [&](const SaveRecord& saved, const std::string& digest) {
      ledger->append("checkpoint", {{"step", saved.step}, {"manifest_sha256", digest}});
      retire_checkpoints(checkpoints, 2, {});
    };
    CheckpointWriter writer(checkpoints, ranks, {.async = behind, .published = published});
    writer.start(record, state.tensors);
    const SaveResult result = *writer.join();
    if (result.error) throw *result.error;
  });
}

void check(const fs::path& folder) {
  const auto ranks = make_single_rank();
  TablePiece whole = part_of_rank(0, 1);
  whole.is_hashed = false;
  std::vector<float> table(static_cast<std::size_t>(kRows * kDim)), small(kSmall);
  std::vector<std::string> complaints;
  const auto checkpoint = restore_newest(
      folder / "checkpoints", *ranks,
      [&](const Checkpoint& found) {
        fill_table_part(found, whole, sizeof(float), std::as_writable_bytes(std::span(table)));
        found.read("small", std::as_writable_bytes(std::span(small)));
      },
      complaints);
  if (!complaints.empty()) throw Error{ExitCode::damaged, "a complete checkpoint is damaged: " + complaints[0]};
  if (!checkpoint) throw Error{ExitCode::damaged, "there is no checkpoint"};
  const std::int64_t base = checkpoint->manifest().base_step.value_or(checkpoint->step());
  for (std::int64_t i = 0; i < kRows * kDim; ++i)
    if (table[static_cast<std::size_t>(i)] != value_of(i / kDim % kChangesEvery == 0 ? checkpoint->step() : base, i))
      throw Error{ExitCode::numbers, fmt::format("value {} of the table is wrong", i)};
  for (std::int64_t i = 0; i < kSmall; ++i)
    if (small[static_cast<std::size_t>(i)] != value_of(checkpoint->step(), -i))
      throw Error{ExitCode::numbers, fmt::format("small value {} is wrong", i)};
  for (const std::int64_t step : checkpoint_steps(folder / "checkpoints"))
    Checkpoint::open(folder / "checkpoints", step).verify(1);
  const LedgerCheck ledger = check_ledger_file(folder / kLedgerName);
  if (ledger.first_bad) throw Error{ExitCode::damaged, "the ledger is bad: " + ledger.fact};
  fmt::print("newest {}\n", checkpoint->step());
}

}  // namespace
}  // namespace swallowtail

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.size() < 5 || (words[0] != "save" && words[0] != "go-on")) return 2;
    const std::int64_t step = std::atoll(words[2].c_str());
    const auto save = [&](std::int64_t of) {
      swallowtail::save(words[1], of, std::atoi(words[3].c_str()), words[4] == "behind",
                        words.size() == 6 && words[5] == "incremental");
    };
    if (words[0] == "save") {
      save(step);
    } else {
      swallowtail::check(words[1]);
      save(step);
      swallowtail::check(words[1]);
      save(step + 1);
      swallowtail::check(words[1]);
    }
  } catch (const swallowtail::Error& error) {
    fmt::print(stderr, "{}\n", error.message());
    return static_cast<int>(error.code());
  }
  return 0;
}
