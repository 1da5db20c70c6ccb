// A cluster's numbers become the constants of the step model. Volumes a sample and their sources: the roofline of DLRM
// training that the published results were compared with (fp32 rows and state, 16-bit activations, five passes over
// each activation: written and read forward, read backward, its gradient written and read).
#include <algorithm>
#include <cmath>

#include "parallel/topology.h"
#include "trainer/planning/step_model.h"

namespace swallowtail {

namespace {

constexpr double kActivationPasses = 5;
// Radix passes of the backward's sort read and write keys and values: about 100 bytes an id.
constexpr double kSortBytesAnId = 100;

/// Seconds a byte of the all-reduce, and what it takes without bytes: reduce-scatter within nodes, rings across, and
/// back.
struct AllReduce {
  double byte_s = 0, fixed_s = 0;
};

AllReduce all_reduce_of(const Cluster& cluster, int world_size) {
  AllReduce result;
  if (world_size < 2) return result;
  const NetworkDescription& network = cluster.network;
  const double local = std::min(world_size, network.ranks_per_node);
  const double nodes = std::ceil(world_size / local);
  if (local > 1) {
    result.byte_s += 2 * (local - 1) / local / cluster.node_all_reduce_bytes_per_s;
    result.fixed_s += network.round_overhead_s + 2 * std::log2(local) * network.node.latency_s;
  }
  if (nodes > 1) {
    const double rails = std::min<double>(network.rails_per_node, local);
    result.byte_s += 2 * (nodes - 1) / nodes / rails / network.rail.bandwidth_bytes_per_s;
    result.fixed_s += network.round_overhead_s +
                      2 * std::log2(nodes) * (network.rail.latency_s + 2 * network.rail.message_overhead_s);
  }
  return result;
}

double link_byte_s(const NetworkDescription& network, int world_size) {
  if (world_size < 2) return 0;
  const double local = std::min(world_size, network.ranks_per_node);
  const double rail = network.rail.bandwidth_bytes_per_s *
                      std::min(1.0, network.rails_per_node / static_cast<double>(network.ranks_per_node)) /
                      network.spine_oversubscription;
  // Links within and between nodes are busy at the same time.
  return std::max((world_size - local) / world_size / rail,
                  (local - 1) / world_size / network.node.bandwidth_bytes_per_s);
}

}  // namespace

StepConstants cluster_constants(const Cluster& cluster, const DenseWork& dense, const StepSetting& setting) {
  const bool is_16_bit = cluster.is_gpu && setting.is_bf16;
  const double flops = is_16_bit ? cluster.bf16_flops : cluster.fp32_flops;
  const double activation_bytes = is_16_bit ? 2 : 4;
  const double local_batch = setting.batch / setting.world_size;
  const AllReduce all_reduce = all_reduce_of(cluster, setting.world_size);

  StepConstants constants;
  EmbeddingCosts& embedding = constants.embedding;
  embedding.batch = setting.batch;
  embedding.world_size = setting.world_size;
  embedding.lookup_byte_s = embedding.update_byte_s = 1 / cluster.gather_bytes_per_s;
  embedding.cached_byte_s = 1 / cluster.cache_bytes_per_s;
  embedding.granule_bytes = cluster.granule_bytes;
  // The tables of a rank share the cache.
  const double tables_a_rank = std::max(1.0, static_cast<double>(setting.tables) / setting.world_size);
  embedding.cache_bytes = cluster.cache_bytes / tables_a_rank;
  embedding.update_id_s = kSortBytesAnId / cluster.stream_bytes_per_s;
  embedding.gradient_byte_s = (is_16_bit ? 0.5 : 1) / cluster.cache_bytes_per_s;
  embedding.link_byte_s = link_byte_s(cluster.network, setting.world_size);
  embedding.forward_bytes = setting.forward_bytes;
  embedding.backward_bytes = setting.backward_bytes;
  embedding.exact = setting.exact;
  if (cluster.is_gpu) {
    // Tables are batched into one kernel, and ids are sent as int32 where tables allow it.
    embedding.id_bytes = embedding.bag_bytes = 4;
    embedding.copy_reduce_byte_s = all_reduce.byte_s;
  } else {
    // Of the trainer here: ids and offsets of 8 bytes, repeated rows once, and messages of its own for every shard.
    embedding.deduplicates = true;
    embedding.shard_s = cluster.kernel_overhead_s;
  }
  if (setting.world_size > 1)
    constants.exchange =
        std::make_shared<CostModel>(cluster.network, full_nodes(setting.world_size, cluster.network.ranks_per_node));
  constants.copy_byte_s = 2 / cluster.stream_bytes_per_s;

  const auto product = [&](double m, double n, double k) {
    return matrix_seconds(m, n, k, flops, cluster.multiprocessors);
  };
  for (const DenseLayer& layer : dense.layers) {
    const auto in = static_cast<double>(layer.in), out = static_cast<double>(layer.out);
    const double backward =
        product(in, out, local_batch) + (layer.needs_input_gradient ? product(local_batch, in, out) : 0);
    (layer.is_bottom ? constants.bottom_forward_s : constants.forward_s) += product(local_batch, out, in);
    (layer.is_bottom ? constants.bottom_backward_s : constants.backward_s) += backward;
  }
  constants.forward_s += local_batch * dense.interaction_flop / flops;
  constants.backward_s += 2 * local_batch * dense.interaction_flop / flops;
  const double passes_s =
      local_batch * static_cast<double>(dense.activations) * activation_bytes / cluster.stream_bytes_per_s;
  constants.forward_s += 2 * passes_s;
  constants.backward_s += (kActivationPasses - 2) * passes_s;

  const auto parameters = static_cast<double>(dense.parameters);
  constants.all_reduce_s = all_reduce.fixed_s + all_reduce.byte_s * parameters * activation_bytes;
  // Gradient read; weights and state read and written, and the 16-bit copy.
  const double update_bytes = activation_bytes + 8 + 8 * setting.dense_state + (is_16_bit ? 2 : 0);
  constants.dense_update_s = parameters * update_bytes / cluster.stream_bytes_per_s;
  constants.overhead_s = dense.kernels * cluster.kernel_overhead_s;
  constants.overlaps = cluster.is_gpu && setting.overlaps;
  return constants;
}

DenseMemory dense_memory(const Cluster& cluster, const DenseWork& dense, const StepSetting& setting) {
  const bool is_16_bit = cluster.is_gpu && setting.is_bf16;
  const double activation_bytes = is_16_bit ? 2 : 4;
  const double local_batch = std::ceil(setting.batch / setting.world_size);
  DenseMemory memory;
  // Weights, gradients and state in fp32, and 16-bit copies of the first two.
  memory.parameters = static_cast<double>(dense.parameters) * (8 + 4 * setting.dense_state + (is_16_bit ? 4 : 0));
  memory.activations =
      local_batch * static_cast<double>(2 * dense.activations + dense.dense_features) * activation_bytes;
  memory.vectors =
      local_batch * static_cast<double>(dense.pooled) * 4 * activation_bytes;  // and gradients; sent and placed
  memory.reserved = cluster.reserved_bytes;
  return memory;
}

}  // namespace swallowtail
