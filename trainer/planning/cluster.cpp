#include "trainer/planning/cluster.h"

#include "trainer/config/cluster_file.h"
#include "trainer/config/section_reader.h"

namespace swallowtail {

Cluster load_cluster(const std::string& name_or_file) {
  using config::above;
  using config::at_least;
  const config::Node tree = read_cluster(name_or_file);
  Cluster cluster;
  cluster.network = cluster_network(tree);

  config::SectionReader all(tree, "the cluster");
  cluster.name = all.text("name");
  const std::string device = all.text("device");
  if (device != "gpu" && device != "cpu")
    throw Error{ExitCode::usage, "device is '" + device + "'", cluster_section(tree, "device").place.words(),
                "it is gpu or cpu"};
  cluster.is_gpu = device == "gpu";
  all.section("network");

  config::SectionReader memory(all.section("memory"), "memory");
  cluster.memory_bytes = memory.number("bytes", above(0));
  cluster.reserved_bytes = memory.number("reserved_bytes", at_least(0));
  cluster.stream_bytes_per_s = memory.number("stream_bytes_per_s", above(0));
  cluster.gather_bytes_per_s = memory.number("gather_bytes_per_s", above(0));
  cluster.cache_bytes = memory.number("cache_bytes", at_least(0));
  cluster.cache_bytes_per_s = memory.number("cache_bytes_per_s", above(0));
  cluster.granule_bytes = memory.number("granule_bytes", at_least(1));
  memory.finish();

  config::SectionReader compute(all.section("compute"), "compute");
  cluster.bf16_flops = compute.number("bf16_flops", above(0));
  cluster.fp32_flops = compute.number("fp32_flops", above(0));
  cluster.multiprocessors = static_cast<int>(compute.number("multiprocessors", config::between(0, 1 << 20)));
  compute.finish();

  config::SectionReader kernels(all.section("kernels"), "kernels");
  cluster.kernel_overhead_s = kernels.number("overhead_s", config::between(0, 1));
  kernels.finish();

  config::SectionReader all_reduce(all.section("all_reduce"), "all_reduce");
  cluster.node_all_reduce_bytes_per_s = all_reduce.number("node_bytes_per_s", above(0));
  all_reduce.finish();
  all.finish();
  return cluster;
}

}  // namespace swallowtail
