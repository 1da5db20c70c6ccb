// Tables out of checkpoints of any plan, full and incremental.
#include "trainer/checkpoint/table_piece.h"

#include <random>

#include "tests/unit/checkpoint/checkpoint_fixture.h"
#include "trainer/checkpoint/retention.h"

namespace swallowtail {
namespace {

class TablePieceTest : public CheckpointTest {
 protected:
  static constexpr std::int64_t kRows = 57, kCols = 6;

  static float value_of(std::int64_t step, std::int64_t row, std::int64_t col) {
    return static_cast<float>(step * 1000 + row * 10 + col);
  }
  static std::vector<float> whole(const Checkpoint& checkpoint) {
    const TablePiece wanted{"t", "weights", kRows, kCols, false, {0, 0, kRows, 0, kCols}};
    std::vector<float> values(kRows * kCols, -1.0F);
    fill_table_part(checkpoint, wanted, sizeof(float), std::as_writable_bytes(std::span(values)));
    return values;
  }

  /// One rank saves the table as `parts` pieces by rows; `rows` of each, where it is incremental.
  std::string save_table(std::int64_t step, std::span<const float> table, std::int64_t parts, bool is_hashed,
                         const SaveRecord* base = nullptr, const std::vector<bool>& changed = {}) const {
    const auto ranks = make_single_rank();
    std::vector<std::vector<float>> values;
    std::vector<std::vector<std::int64_t>> lists;
    std::vector<TensorRef> mine;
    for (std::int64_t part = 0; part < parts; ++part) {
      const std::int64_t first = kRows * part / parts, end = kRows * (part + 1) / parts;
      TablePiece piece{"t", "weights", kRows, kCols, is_hashed, {0, first, end - first, 0, kCols}};
      const RowOrder order = piece.order();
      values.emplace_back();
      lists.emplace_back();
      for (std::int64_t i = 0; i < piece.shard.rows; ++i) {
        const std::int64_t row = order.row_at(first + i);
        if (base != nullptr && !changed[static_cast<std::size_t>(row)]) continue;
        lists.back().push_back(i);
        values.back().insert(values.back().end(), table.begin() + row * kCols, table.begin() + (row + 1) * kCols);
      }
      if (base != nullptr) {
        piece.rows_in = fmt::format("rows{}", part);
        mine.push_back({piece.rows_in, "I64", {static_cast<std::int64_t>(lists.back().size())}, {}});
        mine.back().bytes = std::as_bytes(std::span(lists.back()));
      }
      const auto count = static_cast<std::int64_t>(values.back().size()) / kCols;
      mine.push_back({fmt::format("t{}", part), "F32", {count, kCols}, std::as_bytes(std::span(values.back())), piece});
    }
    SaveRecord record = base != nullptr ? *base : SaveRecord{};
    record.step = step;
    return save_checkpoint(folder(), record, mine, *ranks);
  }
};

TEST_F(TablePieceTest, RowsThatChangedCoverTheirBase) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 40; ++round) {
    const bool is_hashed = round % 2 == 0;
    std::vector<float> table(kRows * kCols);
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = value_of(1, static_cast<std::int64_t>(i), 0);
    const std::string digest = save_table(10, table, 1 + round % 4, is_hashed);
    std::vector<bool> changed(kRows, false);
    const std::size_t changes = round == 0 ? 0 : round == 1 ? kRows : random() % kRows;
    for (std::size_t i = 0; i < changes; ++i) {
      const std::size_t row = random() % kRows;
      changed[row] = true;
      for (std::int64_t col = 0; col < kCols; ++col)
        table[row * kCols + static_cast<std::size_t>(col)] = value_of(2, static_cast<std::int64_t>(row), col);
    }
    SaveRecord base;
    base.base_step = 10;
    base.base_digest = digest;
    save_table(20, table, 1 + (round / 4) % 4, !is_hashed, &base, changed);
    const Checkpoint checkpoint = Checkpoint::open(folder(), 20);
    ASSERT_NE(checkpoint.base(), nullptr);
    EXPECT_EQ(whole(checkpoint), table) << round;
  }
}

TEST_F(TablePieceTest, AnIncrementHoldsItsBaseAndKnowsIt) {
  std::vector<float> table(kRows * kCols, 1.0F);
  SaveRecord base;
  base.base_step = 10;
  base.base_digest = save_table(10, table, 1, false);
  const std::vector<bool> changed(kRows, true);
  save_table(20, table, 1, false, &base, changed);
  save_table(30, table, 1, false, &base, changed);
  retire_checkpoints(folder(), 1, {});
  EXPECT_EQ(checkpoint_steps(folder()), (std::vector<std::int64_t>{10, 30})) << "the base of the one that stays";
  table[0] = 2;
  save_table(10, table, 1, false);  // another checkpoint in the base's place
  EXPECT_NE(damage(30).find("step-10/manifest.json"), std::string::npos) << damage(30);
  EXPECT_NE(damage(30).find("where step 30 was made on " + base.base_digest), std::string::npos) << damage(30);
  std::filesystem::remove_all(step_folder(10));
  EXPECT_NE(damage(30).find("step-10"), std::string::npos);
}

TEST_F(TablePieceTest, WhatIsOfAnotherTableOrMissingIsDamage) {
  const std::vector<float> table(kRows * kCols, 1.0F);
  save_table(10, table, 3, true);
  const Checkpoint checkpoint = Checkpoint::open(folder(), 10);
  std::vector<float> values((kRows + 1) * kCols);
  const auto message = [&](const TablePiece& wanted) {
    try {
      fill_table_part(checkpoint, wanted, sizeof(float), std::as_writable_bytes(std::span(values)));
      return std::string("no error");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::damaged);
      return error.message();
    }
  };
  EXPECT_NE(message({"t", "weights", kRows + 1, kCols, false, {0, 0, kRows + 1, 0, kCols}}).find("57 rows of 6"),
            std::string::npos);
  EXPECT_NE(message({"t", "weights", kRows, kCols, false, {0, 0, kRows, 0, kCols}, 2}).find("another optimizer"),
            std::string::npos);
  EXPECT_NE(message({"u", "weights", kRows, kCols, false, {0, 0, kRows, 0, kCols}}).find("holds 0 of 342 values"),
            std::string::npos);
}

}  // namespace
}  // namespace swallowtail
