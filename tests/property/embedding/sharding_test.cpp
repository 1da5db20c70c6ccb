// Every sharding gives what one rank that holds all tables whole gives: the same bits in exact mode, equal up to
// rounding in fast mode, for every optimizer, pooling and number of ranks.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "kernels/random.h"
#include "parallel/local_communicator.h"
#include "trainer/embedding/sharded_embedding.h"
#include "trainer/embedding/table_specs.h"

namespace swallowtail {
namespace {

struct Case {
  std::optional<Sharding> sharding;  // nothing: mixed, another for each table
  bool hashed_rows = true;
  Optimizer optimizer = Optimizer::sgd;
  Pooling pooling = Pooling::sum;
  bool weighted = false;
  bool exact = true;
  Wire wire = Wire::fp32;
  bool overlap = true;  // the next batch's ids are sent while this one is trained
  std::int64_t steps = 4;
};

constexpr std::array kShardings{Sharding::table_wise, Sharding::row_wise, Sharding::column_wise,
                                Sharding::table_row_wise, Sharding::data_parallel};
constexpr std::array kOptimizers{Optimizer::sgd, Optimizer::adagrad, Optimizer::rowwise_adagrad, Optimizer::adam,
                                 Optimizer::adamw};

/// Rows and dims with remainders everywhere; tables 0 and 3 share a feature.
std::vector<EmbeddingTable> tables_of(const Case& with) {
  const std::array<std::int64_t, 4> rows{37, 5, 400, 37}, dims{12, 7, 16, 1};
  std::vector<EmbeddingTable> tables(rows.size());
  for (std::size_t t = 0; t < tables.size(); ++t) {
    EmbeddingTable& table = tables[t];
    table.name = fmt::format("t{}", t);
    table.feature = static_cast<std::int64_t>(t % 3);
    table.rows = rows[t];
    table.dim = dims[t];
    table.mean_ids = 2;
    table.pooling = with.pooling;
    table.init_scale = 1;
    table.optimizer.kind = with.optimizer;
    table.optimizer.learning_rate = 0.02F;
    table.optimizer.epsilon = usual_epsilon(with.optimizer);
    table.optimizer.weight_decay = 0.01F;
    table.sharding = with.sharding ? *with.sharding : kShardings[(t + 1) % kShardings.size()];
    table.hashed_rows = with.hashed_rows;
  }
  return tables;
}

/// Samples [begin, end) of step `step`: bags of 0 to 4 ids with repeats, a function of the sample alone.
Batch batch_of(const Case& with, std::int64_t step, std::int64_t begin, std::int64_t end) {
  Batch batch;
  batch.size = end - begin;
  const std::array<std::int64_t, 3> rows{37, 5, 400};
  for (std::size_t f = 0; f < rows.size(); ++f) {
    JaggedIds& ids = batch.ids.emplace_back();
    ids.offsets.push_back(0);
    for (std::int64_t sample = begin; sample < end; ++sample) {
      const auto key = random::bits(static_cast<std::uint64_t>(step), 11 + f, static_cast<std::uint64_t>(sample));
      for (std::int64_t i = 0; i < random::below(key, 5); ++i) {
        const auto id_key = random::bits(key, 3, static_cast<std::uint64_t>(i));
        ids.values.push_back(random::below(id_key, random::below(id_key >> 7, 2) ? rows[f] : 3));
        if (with.weighted) ids.weights.push_back(static_cast<float>(0.5 + random::uniform(id_key)));
      }
      ids.offsets.push_back(static_cast<std::int64_t>(ids.values.size()));
    }
  }
  return batch;
}

struct Outcome {
  std::map<std::string, std::vector<float>> vectors;  // pooled, by step and table, in sample order
  std::map<std::string, std::map<std::pair<std::int64_t, std::int64_t>, float>> values;  // array -> (row, column)
};

Outcome train(const Case& with, int world_size) {
  Outcome outcome;
  std::mutex mutex;
  std::map<std::string, std::map<int, std::vector<float>>> pooled;
  run_ranks(world_size, [&](Communicator& ranks) {
    const auto tables = tables_of(with);
    EmbeddingOptions options;
    options.average_decay = 0.9;
    options.exact = with.exact;
    options.forward = options.backward = with.wire;
    options.overlap = with.overlap;
    ShardedEmbedding embedding(tables, plan_as_asked(table_specs(tables), ranks.node_of()), options, ranks);
    const auto samples = [](std::int64_t step) { return step == 2 ? 3 : 29; };  // 3: fewer than some numbers of ranks
    const auto sizes = [&](std::int64_t step) {
      std::vector<std::int64_t> parts;
      for (int rank = 0; rank < world_size; ++rank)
        parts.push_back(samples(step) * (rank + 1) / world_size - samples(step) * rank / world_size);
      return parts;
    };
    const auto part = [&](std::int64_t step) {
      return batch_of(with, step, samples(step) * ranks.rank() / world_size,
                      samples(step) * (ranks.rank() + 1) / world_size);
    };
    Batch batch = part(1), next;
    for (std::int64_t step = 1; step <= with.steps; ++step) {
      embedding.exchange_input(batch, sizes(step), step);
      next = part(step + 1);
      if (with.overlap) embedding.start_next_input(next, sizes(step + 1), step + 1);
      embedding.lookup();
      for (std::size_t t = 0; t < tables.size(); ++t) {
        const auto vectors = embedding.pooled(static_cast<std::int64_t>(t));
        const auto gradient = embedding.pooled_gradient(static_cast<std::int64_t>(t));
        for (std::size_t i = 0; i < vectors.size(); ++i) gradient[i] = 0.3F * vectors[i] + 0.1F;
        const std::scoped_lock lock(mutex);
        pooled[fmt::format("step {} table {}", step, t)][ranks.rank()].assign(vectors.begin(), vectors.end());
      }
      embedding.exchange_gradient();
      if (step % 2 == 0) embedding.send_next_ids();
      embedding.update(step, 1.0F);
      std::swap(batch, next);
    }
    embedding.drop_next_input();
    embedding.settle(with.steps);
    const std::scoped_lock lock(mutex);
    for (const TableShard& shard : embedding.shards()) {
      const EmbeddingTable& table = tables[static_cast<std::size_t>(shard.table)];
      const std::int64_t cols = shard.shard.cols;
      const std::int64_t width = sparse_state_width(table.optimizer.kind, cols);
      for (std::int64_t i = 0; i < shard.shard.rows; ++i)
        for (std::int64_t d = 0; d < cols; ++d) {
          const auto at = std::pair{shard.row_at(i), shard.shard.first_col + d};
          const auto keep = [&](const std::string& array, float value) {
            const auto [found, is_new] = outcome.values[table.name + " " + array].emplace(at, value);
            // Copies must not drift apart.
            EXPECT_EQ(found->second, value) << table.name << " " << array << " row " << at.first;
            EXPECT_TRUE(is_new || table.sharding == Sharding::data_parallel);
          };
          keep("weights", shard.weights[static_cast<std::size_t>(i * cols + d)]);
          keep("average", shard.average[static_cast<std::size_t>(i * cols + d)]);
          if (width == 1 && table.optimizer.kind == Optimizer::rowwise_adagrad)
            keep("statistic", shard.state[static_cast<std::size_t>(i)]);
          else
            for (std::int64_t plane = 0; plane * cols < width; ++plane)
              keep(fmt::format("state {}", plane), shard.state[static_cast<std::size_t>(i * width + plane * cols + d)]);
        }
    }
  });
  for (const auto& [name, by_rank] : pooled)
    for (const auto& [rank, vectors] : by_rank)
      outcome.vectors[name].insert(outcome.vectors[name].end(), vectors.begin(), vectors.end());
  return outcome;
}

std::string words(const Case& with, int world_size) {
  return fmt::format("sharding {} hashed {} optimizer {} pooling {} weighted {} ranks {}",
                     with.sharding ? name_of(*with.sharding) : "mixed", with.hashed_rows,
                     static_cast<int>(with.optimizer), static_cast<int>(with.pooling), with.weighted, world_size);
}

/// The largest difference relative to the largest value of its array.
double difference(const Outcome& a, const Outcome& b) {
  double worst = 0;
  const auto compare = [&worst](const auto& x, const auto& y, auto value) {
    double largest = 1e-30, gap = 0;
    for (auto i = x.begin(), j = y.begin(); i != x.end(); ++i, ++j) {
      largest = std::max(largest, std::abs(static_cast<double>(value(*i))));
      gap = std::max(gap, std::abs(static_cast<double>(value(*i)) - static_cast<double>(value(*j))));
    }
    worst = std::max(worst, gap / largest);
  };
  for (const auto& [name, vectors] : a.vectors) {
    EXPECT_EQ(vectors.size(), b.vectors.at(name).size());
    compare(vectors, b.vectors.at(name), [](float value) { return value; });
  }
  for (const auto& [name, values] : a.values) {
    EXPECT_EQ(values.size(), b.values.at(name).size());
    compare(values, b.values.at(name), [](const auto& entry) { return entry.second; });
  }
  return worst;
}

class EveryOptimizer : public testing::TestWithParam<Optimizer> {};
INSTANTIATE_TEST_SUITE_P(, EveryOptimizer, testing::ValuesIn(kOptimizers));

TEST_P(EveryOptimizer, ExactShardingsHaveTheBitsOfOneRank) {
  for (const Pooling pooling : {Pooling::sum, Pooling::mean, Pooling::none})
    for (const bool weighted : {false, true}) {
      Case with{.sharding = Sharding::table_wise, .optimizer = GetParam(), .pooling = pooling, .weighted = weighted};
      const Outcome one = train(with, 1);
      ASSERT_EQ(one.values.at("t2 weights").size(), 400U * 16U);
      for (const int world_size : {1, 2, 3, 4, 8}) {
        for (const bool hashed : {false, true}) {
          with.hashed_rows = hashed;
          for (const auto sharding : kShardings) {
            with.sharding = sharding;
            const Outcome many = train(with, world_size);
            EXPECT_EQ(many.vectors, one.vectors) << words(with, world_size);
            EXPECT_EQ(many.values, one.values) << words(with, world_size);
          }
        }
        with.sharding.reset();
        const Outcome many = train(with, world_size);
        EXPECT_EQ(many.vectors, one.vectors) << words(with, world_size);
        EXPECT_EQ(many.values, one.values) << words(with, world_size);
      }
    }
}

TEST(ShardedEmbedding, OverlapChangesNoBit) {
  for (const bool exact : {true, false}) {
    Case with{.optimizer = Optimizer::rowwise_adagrad, .weighted = true, .exact = exact, .overlap = false};
    const Outcome one_by_one = train(with, 4);
    with.overlap = true;
    const Outcome beside = train(with, 4);
    EXPECT_EQ(one_by_one.vectors, beside.vectors);
    EXPECT_EQ(one_by_one.values, beside.values);
  }
}

TEST_P(EveryOptimizer, FastShardingsDifferByRounding) {
  for (const Pooling pooling : {Pooling::sum, Pooling::mean, Pooling::none}) {
    Case with{
        .sharding = Sharding::table_wise, .optimizer = GetParam(), .pooling = pooling, .weighted = true, .steps = 100};
    const Outcome one = train(with, 1);
    with.exact = false;
    for (const int world_size : {2, 3, 8})
      for (const auto sharding : kShardings) {
        with.sharding = sharding;
        EXPECT_LE(difference(one, train(with, world_size)), 1e-5) << words(with, world_size);
      }
  }
}

TEST(ShardedEmbedding, TheTestSeesAChangedBit) {
  Case with{.sharding = Sharding::row_wise, .optimizer = Optimizer::adagrad, .weighted = true, .exact = false};
  // Sums over parts round otherwise: were they equal too, the law of exact mode would say nothing.
  EXPECT_NE(train(with, 4).values,
            train({.sharding = Sharding::table_wise, .optimizer = Optimizer::adagrad, .weighted = true}, 1).values);
}

TEST(ShardedEmbedding, NarrowWiresStayWithinTheirPrecision) {
  for (const auto sharding : kShardings) {
    Case with{.sharding = sharding, .optimizer = Optimizer::sgd, .exact = false, .steps = 3};
    const Outcome exact = train(with, 4);
    for (const auto& [wire, bound] : {std::pair{Wire::bf16, 0.02}, {Wire::fp16, 0.003}, {Wire::int8, 0.03}}) {
      with.wire = wire;
      const Outcome narrow = train(with, 4);
      EXPECT_LE(difference(exact, narrow), bound) << words(with, 4) << name_of(wire);
      if (sharding != Sharding::data_parallel) {
        EXPECT_NE(exact.vectors, narrow.vectors) << "the wire was not used";
      }
    }
  }
}

TEST(ShardedEmbedding, RepeatedRowsTravelOnceInFastMode) {
  // 5 rows for 200 samples: a vector a row is far fewer bytes than a vector a sample.
  std::map<bool, std::int64_t> bytes;
  for (const bool exact : {true, false})
    run_ranks(2, [&](Communicator& ranks) {
      std::vector<EmbeddingTable> tables(1);
      tables[0].name = "small";
      tables[0].rows = 5;
      tables[0].dim = 16;
      tables[0].optimizer.learning_rate = 0.1F;
      EmbeddingOptions options;
      options.exact = exact;
      ShardedEmbedding embedding(tables, plan_as_asked(table_specs(tables), ranks.node_of()), options, ranks);
      Batch batch;
      batch.size = 200;
      batch.ids.resize(1);
      batch.ids[0].offsets.push_back(0);
      for (std::int64_t i = 0; i < 200; ++i) {
        batch.ids[0].values.push_back(i % 5);
        batch.ids[0].offsets.push_back(i + 1);
      }
      const std::vector<std::int64_t> sizes{200, 200};
      embedding.exchange_input(batch, sizes, 1);
      embedding.lookup();
      embedding.exchange_gradient();
      std::vector<std::int64_t> sent{embedding.bytes_sent()};
      ranks.all_reduce_sum({"bytes", 1}, std::span(sent));
      if (ranks.rank() == 0) bytes[exact] = sent[0];
    });
  EXPECT_GT(bytes[true], 200 * 16 * 4 * 2);
  EXPECT_LT(bytes[false], 5 * (16 * 4 * 2 + 4) + 200);
}

}  // namespace
}  // namespace swallowtail
