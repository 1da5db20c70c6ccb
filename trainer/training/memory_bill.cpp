#include "trainer/training/memory_bill.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>

#include "parallel/error.h"
#include "trainer/checkpoint/block_file.h"
#include "trainer/data/loader.h"
#include "trainer/embedding/table_options.h"
#include "trainer/report/machine.h"

namespace swallowtail {

namespace {
constexpr std::int64_t kFloat = sizeof(float);
// LibTorch, MPI and the program itself, resident: 135 to 175 MB a rank on 1 to 4 ranks of the CPU program, by hand and
// through autograd, of what Adult, the reviews and MovieLens took beside their other parts.
constexpr std::int64_t kLibraries = std::int64_t{200} << 20;

/// What `ulimit -v` leaves this process; nothing where there is no limit.
std::optional<std::int64_t> address_space_left() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return {};
  std::int64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return static_cast<std::int64_t>(limit.rlim_cur) - pages * ::sysconf(_SC_PAGESIZE);
}
}  // namespace

std::int64_t batch_bytes(std::span<const EmbeddingTable> tables, std::int64_t dense_features, std::int64_t samples) {
  std::map<std::int64_t, double> mean_ids;  // by feature: several tables may look the same ids up
  for (const EmbeddingTable& table : tables) mean_ids[table.feature] = table.mean_ids;
  double bytes = kFloat * static_cast<double>(dense_features + 1) + sizeof(std::int64_t);  // label, sample
  for (const auto& [feature, ids] : mean_ids) bytes += sizeof(std::int64_t) * (1 + ids);   // offset, ids
  return static_cast<std::int64_t>(bytes * static_cast<double>(samples));
}

nlohmann::json memory_bill(const Experiment& experiment, const BillInput& input, Communicator& ranks) {
  std::int64_t batch = experiment.integer("train.batch_size");
  if (experiment.has("evaluation.batch_size")) batch = std::max(batch, experiment.integer("evaluation.batch_size"));
  const int world_size = ranks.world_size();
  const bool saves = experiment.boolean("checkpoint.enabled");
  const bool averaging = experiment.number("train.average_decay") > 0;
  const Optimizer dense_optimizer = parse_optimizer(experiment.text("train.optimizer"));
  const auto momentum = static_cast<float>(experiment.number("train.momentum"));
  std::int64_t all_dims = 0;
  for (const EmbeddingTable& table : input.tables) all_dims += table.dim;

  nlohmann::json list = nlohmann::json::array();
  std::int64_t largest = 0;
  for (int rank = 0; rank < world_size; ++rank) {
    std::int64_t weights = 0, state = 0, average = 0, owned_dims = 0, ids = 0, saved_here = 0;
    for (const std::size_t t : input.plan.tables_of(rank)) {
      const EmbeddingTable& table = input.tables[t];
      const Shard& shard = *input.plan.shard_on(rank, t);
      const std::int64_t shard_weights = shard.rows * shard.cols * kFloat;
      const std::int64_t shard_state = shard.rows * sparse_state_width(table.optimizer.kind, shard.cols) * kFloat;
      const std::int64_t shard_average =
          averaging ? shard_weights + shard.rows * static_cast<std::int64_t>(sizeof(std::int64_t)) : 0;
      weights += shard_weights;
      state += shard_state;
      average += shard_average;
      // Of a copied table rank 0 saves the one copy.
      if (rank == 0 || input.plan.tables[t].sharding != Sharding::data_parallel)
        saved_here += shard_weights + shard_state + shard_average;
      const double share = table.rows > 0 ? static_cast<double>(shard.rows) / static_cast<double>(table.rows) : 0;
      // A divided bag travels as its rows, at most once a bag and row.
      owned_dims += static_cast<std::int64_t>(
          std::ceil(static_cast<double>(shard.cols) * (share < 1 ? share * table.mean_ids : 1)));
      ids += static_cast<std::int64_t>(static_cast<double>(batch) * table.mean_ids * share * 8);
    }
    // Weights, gradient, optimizer state, average, and what the fixed-order sum holds of gradients.
    const std::int64_t dense = kFloat * (input.dense_parameters * (averaging ? 5 : 4) +
                                         dense_state_width(dense_optimizer, momentum, input.dense_parameters));
    const std::int64_t local = (batch + world_size - 1) / world_size;
    // Pooled vectors with their gradients; what other ranks send and get of both; ids as they are sent and sorted.
    const std::int64_t sent = world_size == 1 ? 0 : 2 * (batch * owned_dims + local * all_dims);
    const std::int64_t exchange = kFloat * (2 * local * all_dims + sent) + 4 * ids;
    const std::int64_t activations = kFloat * local * input.activations;
    const std::int64_t batches = BatchLoader::kMostBatches * batch_bytes(input.tables, input.dense_features, local);
    // What is saved behind the training is a copy; what is on its way to the disk, three blocks of a file.
    const std::int64_t dense_saved = kFloat * (input.dense_parameters * (averaging ? 2 : 1) +
                                               dense_state_width(dense_optimizer, momentum, input.dense_parameters));
    std::int64_t saving = saves ? 3 * kBlockBytes : 0;
    if (saves && experiment.boolean("checkpoint.async")) saving += saved_here + (rank == 0 ? dense_saved : 0);
    const std::int64_t total =
        weights + state + average + dense + exchange + activations + batches + saving + kLibraries;
    largest = std::max(largest, total);
    list.push_back({{"rank", rank},
                    {"tables", weights},
                    {"optimizer_state", state},
                    {"weight_average", average},
                    {"dense", dense},
                    {"exchange", exchange},
                    {"activations", activations},
                    {"batches", batches},
                    {"checkpoint", saving},
                    {"libraries", kLibraries},
                    {"total", total}});
  }
  std::vector<std::int64_t> node_bytes{0}, short_of{0};
  // The ranks of a machine share its memory; each is taken at the largest rank's need.
  node_bytes[0] = largest * std::max(1, ranks.node_local_ranks());
  const std::int64_t available = machine_facts().memory_available_bytes;
  short_of[0] = available > 0 ? std::max<std::int64_t>(0, node_bytes[0] - available) : 0;
  // The libraries are mapped by now.
  if (const auto left = address_space_left()) short_of[0] = std::max(short_of[0], largest - kLibraries - *left);
  ranks.all_reduce_max(Tag{"memory bill", 0}, std::span(node_bytes));
  ranks.all_reduce_max(Tag{"memory bill", 0}, std::span(short_of));
  return {{"world_size", world_size},     {"ranks", list},
          {"node_bytes", node_bytes[0]},  {"available_bytes", available},
          {"missing_bytes", short_of[0]}, {"fits", short_of[0] == 0}};
}

void refuse_what_does_not_fit(const nlohmann::json& bill) {
  if (bill.at("fits").get<bool>()) return;
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  throw Error{
      ExitCode::resources,
      fmt::format("the run needs {:.2f} GiB a machine and {:.2f} GiB more than is available",
                  bill.at("node_bytes").get<double>() / kGiB, bill.at("missing_bytes").get<double>() / kGiB),
      "the memory bill (train --dry-run)",
      "use more machines, fewer or narrower tables, or checkpoint.async: false, which keeps no copy for saving"};
}

}  // namespace swallowtail
