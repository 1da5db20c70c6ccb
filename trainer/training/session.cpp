#include "trainer/training/session.h"

#include "parallel/all_to_all/measure_costs.h"
#include "trainer/planning/run_plan.h"
#include "trainer/training/autograd_pass.h"
#include "trainer/training/device_run.h"
#include "trainer/training/table_pieces.h"
#include "trainer/training/threads.h"

namespace swallowtail {

namespace {

EmbeddingOptions embedding_options(const Experiment& experiment, Communicator& ranks) {
  EmbeddingOptions options;
  options.seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  options.all_to_all = experiment.text("parallel.all_to_all");
  if (options.all_to_all == "auto") options.costs = measure_costs(ranks, experiment.number("parallel.measure_s"));
  options.average_decay = experiment.number("train.average_decay");
  options.overlap = experiment.boolean("parallel.overlap");
  options.exact = experiment.boolean("train.deterministic");
  const std::string wire = experiment.text("parallel.wire");
  options.forward = *parse_wire(wire);
  options.backward =
      *parse_wire(experiment.has("parallel.wire_backward") ? experiment.text("parallel.wire_backward") : wire);
  return options;
}

/// The model's tables; whole where one rank holds them on a device.
std::vector<EmbeddingTable> tables_of(const Experiment& experiment, const DataShape& shape, const Communicator& ranks,
                                      const DeviceChoice& choice) {
  std::vector<EmbeddingTable> tables = find_model(experiment).embedding_tables(experiment, shape);
  if (choice.on_device && ranks.world_size() == 1)
    for (EmbeddingTable& table : tables) table.sharding = Sharding::table_wise;
  return tables;
}

}  // namespace

Session::Session(const Experiment& from, Data opened, Communicator& all_ranks, const DeviceChoice& where)
    : experiment(from),
      ranks((set_threads(from, all_ranks), all_ranks)),
      choice(where),
      data(std::move(opened)),
      tables(tables_of(experiment, data.train->shape(), ranks, choice)),
      model(find_model(experiment).make(experiment, data.train->shape(), tables)),
      embedding(tables, plan_run(experiment, data.train->shape(), tables, ranks), embedding_options(experiment, ranks),
                ranks),
      dense(*model, experiment),
      pass(dense_pass_of(experiment, *model, tables, std::ssize(data.train->shape().dense))),
      share(experiment.boolean("train.deterministic"), experiment.integer("train.chunk"), ranks.world_size()),
      loss(loss_options(experiment)),
      seed(static_cast<std::uint64_t>(experiment.integer("seed"))),
      overlap(experiment.boolean("parallel.overlap")),
      averaging(experiment.number("train.average_decay") > 0) {
  if (experiment.boolean("checkpoint.incremental")) forget_changes(embedding);
  if (choice.on_device) use_device(*this);
}

}  // namespace swallowtail
