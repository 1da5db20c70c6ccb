// Cluster files: what a machine park costs, in YAML. The well-known ones (configs/clusters) are part of the program.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "parallel/simulated/network.h"
#include "trainer/config/node.h"

namespace swallowtail {

/// Names of the files in configs/clusters, without ".yaml", sorted.
std::vector<std::string_view> built_in_clusters();

/// The whole tree of a built-in cluster, or of a file: what has a '/' or ends in ".yaml".
/// Errors: usage, for an unknown name (with the nearest one), a file that cannot be read, or text that is no YAML map.
config::Node read_cluster(const std::string& name_or_file);

/// A section of a cluster. Errors: usage where there is none.
const config::Node& cluster_section(const config::Node& cluster, std::string_view name);

/// The section `network` of a cluster. Every key is required but spine_latency_s, spine_oversubscription and
/// round_overhead_s. Errors: usage at the key's place.
NetworkDescription cluster_network(const config::Node& cluster);

/// configs/clusters/published.yaml and configs/plan_mlperf_dcnv2.yaml, as this program was built with them.
std::string_view published_results();
std::string_view published_experiment();

}  // namespace swallowtail
