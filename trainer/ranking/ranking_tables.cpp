#include "trainer/ranking/ranking_tables.h"

#include "parallel/all_to_all/measure_costs.h"
#include "trainer/embedding/table_options.h"
#include "trainer/embedding/table_specs.h"

namespace swallowtail {

std::vector<EmbeddingTable> user_and_item_tables(const RankerInput& input, double items_a_sample) {
  DataShape shape;
  shape.categorical = {{.name = "users", .rows = input.data.users.size()},
                       {.name = "items", .rows = input.data.items.size(), .mean_ids = items_a_sample}};
  auto tables = tables_of_features(input.experiment, shape);
  tables[1].pooling = Pooling::none;
  if (tables[0].dim != tables[1].dim)
    throw input.experiment.error("embedding.tables", "users and items have vectors of different widths",
                                 "set model.embedding_dim for both");
  return tables;
}

std::unique_ptr<ShardedEmbedding> make_ranking_embedding(const RankerInput& input, std::vector<EmbeddingTable> tables) {
  const Experiment& experiment = input.experiment;
  EmbeddingOptions options;
  options.seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  options.all_to_all = experiment.text("parallel.all_to_all");
  if (options.all_to_all == "auto") options.costs = measure_costs(input.ranks, experiment.number("parallel.measure_s"));
  options.overlap = experiment.boolean("parallel.overlap");
  const std::string wire = experiment.text("parallel.wire");
  options.forward = *parse_wire(wire);
  options.backward =
      *parse_wire(experiment.has("parallel.wire_backward") ? experiment.text("parallel.wire_backward") : wire);
  const ShardingPlan plan = plan_as_asked(table_specs(tables), input.ranks.node_of());
  return std::make_unique<ShardedEmbedding>(std::move(tables), plan, options, input.ranks);
}

std::vector<float> gather_table(ShardedEmbedding& embedding, std::int64_t table, Communicator& ranks) {
  const EmbeddingTable& about = embedding.tables()[static_cast<std::size_t>(table)];
  const bool is_copied = embedding.plan().tables[static_cast<std::size_t>(table)].sharding == Sharding::data_parallel;
  std::vector<float> all(static_cast<std::size_t>(about.rows * about.dim), 0.0F);
  for (TableShard& held : embedding.shards()) {
    if (held.table != table || (is_copied && ranks.rank() != 0)) continue;
    for (std::int64_t i = 0; i < held.shard.rows; ++i)
      std::copy_n(held.weights.begin() + i * held.shard.cols, held.shard.cols,
                  all.begin() + held.row_at(i) * about.dim + held.shard.first_col);
  }
  ranks.all_reduce_sum(Tag{"whole table"}, std::span(all));  // one rank's value beside zeros: a copy
  return all;
}

}  // namespace swallowtail
