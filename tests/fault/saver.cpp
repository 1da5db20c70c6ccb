// A run without a model: its state is a formula of the step, and saving and restoring it is all it does. Quick enough
// to be killed at every system call.
//   saver save FOLDER STEP RANKS once|behind    saves that step, retires older ones, appends to the ledger
//   saver check FOLDER                          prints the step of the newest good checkpoint, after comparing every
//   value
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

float value_of(std::int64_t step, std::int64_t place) { return static_cast<float>((step * 7919 + place) % 100003); }

TablePiece part_of_rank(int rank, int world_size) {
  const std::int64_t first = kRows * rank / world_size, end = kRows * (rank + 1) / world_size;
  return {"table", "weights", kRows, kDim, true, {rank, first, end - first, 0, kDim}};
}

void save(const fs::path& folder, std::int64_t step, int world_size, bool behind) {
  const auto ledger = Ledger::open(folder / kLedgerName, {});
  run_ranks(world_size, [&](Communicator& ranks) {
    const TablePiece piece = part_of_rank(ranks.rank(), world_size);
    const RowOrder order = piece.order();
    std::vector<float> table(static_cast<std::size_t>(piece.shard.rows * kDim)), small(kSmall);
    for (std::int64_t i = 0; i < piece.shard.rows; ++i)
      for (std::int64_t d = 0; d < kDim; ++d)
        table[static_cast<std::size_t>(i * kDim + d)] =
            value_of(step, order.row_at(piece.shard.first_row + i) * kDim + d);
    for (std::int64_t i = 0; i < kSmall; ++i) small[static_cast<std::size_t>(i)] = value_of(step, -i);
    std::vector<TensorRef> mine{{fmt::format("table/{}", ranks.rank()),
                                 "F32",
                                 {piece.shard.rows, kDim},
                                 std::as_bytes(std::span(table)),
                                 piece}};
    if (ranks.rank() == 0) mine.push_back({"small", "F32", {kSmall}, std::as_bytes(std::span(small))});
    const auto published = [&](const SaveRecord& record, const std::string& digest) {
      ledger->append("checkpoint", {{"step", record.step}, {"manifest_sha256", digest}});
      retire_checkpoints(folder / "checkpoints", 2, {});
    };
    CheckpointWriter writer(folder / "checkpoints", ranks, {.async = behind, .published = published});
    writer.start({step, {{"step", step}}}, mine);
    const SaveResult result = *writer.join();
    if (result.error) throw *result.error;
  });
  fmt::print("saved {}\n", step);
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
  for (std::int64_t i = 0; i < kRows * kDim; ++i)
    if (table[static_cast<std::size_t>(i)] != value_of(checkpoint->step(), i))
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
    if (words.size() == 5 && words[0] == "save")
      swallowtail::save(words[1], std::atoll(words[2].c_str()), std::atoi(words[3].c_str()), words[4] == "behind");
    else if (words.size() == 2 && words[0] == "check")
      swallowtail::check(words[1]);
    else
      return 2;
  } catch (const swallowtail::Error& error) {
    fmt::print(stderr, "{}\n", error.message());
    return static_cast<int>(error.code());
  }
  return 0;
}
