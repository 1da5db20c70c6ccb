// A checkpoint of any plan on any number of ranks fills the tables of any other.
#include "trainer/training/table_pieces.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <mutex>

#include "parallel/error.h"
#include "parallel/local_communicator.h"
#include "tests/unit/report/temporary_folder.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/embedding/table_specs.h"

namespace swallowtail {
namespace {

constexpr std::array kShardings{Sharding::table_wise, Sharding::row_wise, Sharding::column_wise,
                                Sharding::table_row_wise, Sharding::data_parallel};

std::vector<EmbeddingTable> tables_of(Optimizer optimizer, std::size_t first_sharding, bool hashed) {
  std::vector<EmbeddingTable> tables(2);
  for (std::size_t t = 0; t < tables.size(); ++t) {
    tables[t].name = fmt::format("t{}", t);
    tables[t].rows = t == 0 ? 23 : 4;
    tables[t].dim = t == 0 ? 10 : 1;
    tables[t].optimizer.kind = optimizer;
    tables[t].sharding = kShardings[(first_sharding + t) % kShardings.size()];
    tables[t].hashed_rows = hashed;
  }
  return tables;
}

/// A value that says which array, table, row and column it is of.
float value_of(int array, std::int64_t table, std::int64_t row, std::int64_t column) {
  return static_cast<float>(array * 100000 + table * 10000 + row * 100 + column);
}

template <typename Function>
void each_value(ShardedEmbedding& embedding, Function function) {
  for (TableShard& shard : embedding.shards()) {
    const Optimizer optimizer = embedding.tables()[shard.table].optimizer.kind;
    const std::int64_t cols = shard.shard.cols, width = sparse_state_width(optimizer, cols);
    for (std::int64_t i = 0; i < shard.shard.rows; ++i) {
      const std::int64_t row = shard.row_at(i);
      for (std::int64_t d = 0; d < cols; ++d) {
        const std::int64_t column = shard.shard.first_col + d;
        function(shard.weights[i * cols + d], value_of(1, shard.table, row, column));
        function(shard.average[i * cols + d], value_of(2, shard.table, row, column));
        if (optimizer == Optimizer::rowwise_adagrad) continue;
        for (std::int64_t plane = 0; plane * cols < width; ++plane)
          function(shard.state[i * width + plane * cols + d],
                   value_of(3 + static_cast<int>(plane), shard.table, row, column));
      }
      if (optimizer == Optimizer::rowwise_adagrad) function(shard.state[i], value_of(5, shard.table, row, 0));
      float step = static_cast<float>(shard.average_step[i]);
      function(step, value_of(6, shard.table, row, 0));
      shard.average_step[i] = static_cast<std::int64_t>(step);
    }
  }
}

TEST(TablePieces, AnyPlanReadsAnyOther) {
  const auto options = [] {
    EmbeddingOptions with;
    with.average_decay = 0.5;
    return with;
  }();
  for (const Optimizer optimizer : {Optimizer::sgd, Optimizer::adagrad, Optimizer::rowwise_adagrad, Optimizer::adam})
    for (std::size_t from = 0; from < kShardings.size(); ++from)
      for (const int writers : {1, 3}) {
        const TemporaryFolder folder;
        run_ranks(writers, [&](Communicator& ranks) {
          const auto tables = tables_of(optimizer, from, from % 2 == 0);
          ShardedEmbedding embedding(tables, plan_as_asked(table_specs(tables), ranks.node_of()), options, ranks);
          each_value(embedding, [](float& value, float wanted) { value = wanted; });
          save_checkpoint(folder / "checkpoints", {1, {}}, table_pieces(embedding, ranks.rank()), ranks);
        });
        for (std::size_t to = 0; to < kShardings.size(); ++to)
          for (const int readers : {1, 2, 4})
            run_ranks(readers, [&](Communicator& ranks) {
              const auto tables = tables_of(optimizer, to, to % 3 == 0);
              ShardedEmbedding embedding(tables, plan_as_asked(table_specs(tables), ranks.node_of()), options, ranks);
              restore_tables(Checkpoint::open(folder / "checkpoints", 1), embedding);
              std::int64_t wrong = 0;
              each_value(embedding, [&](float& value, float wanted) { wrong += value != wanted; });
              EXPECT_EQ(wrong, 0) << name_of(kShardings[from]) << " on " << writers << " -> " << name_of(kShardings[to])
                                  << " on " << readers << " optimizer " << static_cast<int>(optimizer);
            });
      }
}

TEST(TablePieces, MissingRowsAreDamage) {
  const TemporaryFolder folder;
  run_ranks(2, [&](Communicator& ranks) {
    const auto tables = tables_of(Optimizer::sgd, 1, true);
    ShardedEmbedding embedding(tables, plan_as_asked(table_specs(tables), ranks.node_of()), {}, ranks);
    auto pieces = table_pieces(embedding, ranks.rank());
    if (ranks.rank() == 1)
      std::erase_if(pieces, [](const TensorRef& piece) { return piece.name.find("t0") != std::string::npos; });
    save_checkpoint(folder / "checkpoints", {1, {}}, pieces, ranks);
  });
  const auto ranks = make_single_rank();
  const auto tables = tables_of(Optimizer::sgd, 0, true);
  ShardedEmbedding embedding(tables, plan_as_asked(table_specs(tables), ranks->node_of()), {}, *ranks);
  try {
    restore_tables(Checkpoint::open(folder / "checkpoints", 1), embedding);
    FAIL() << "half a table was taken for a whole one";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::damaged);
    EXPECT_NE(error.message().find("table 't0'"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace swallowtail
