#include "trainer/config/cluster_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "trainer/config/built_in_clusters.h"
#include "trainer/config/nearest.h"
#include "trainer/config/section_reader.h"
#include "trainer/config/yaml_reader.h"

namespace swallowtail {

namespace {

using config::Node;
using config::SectionReader;

Link read_link(const Node& section, std::string path) {
  SectionReader reader(section, std::move(path));
  Link link;
  link.latency_s = reader.number("latency_s", config::between(0, 10));
  link.message_overhead_s = reader.number("message_overhead_s", config::between(0, 10));
  link.bandwidth_bytes_per_s = reader.number("bandwidth_bytes_per_s", config::between(1, 1e18));
  reader.finish();
  return link;
}

}  // namespace

std::vector<std::string_view> built_in_clusters() {
  std::vector<std::string_view> names;
  for (const auto& cluster : config::kBuiltInClusters) names.push_back(cluster.name);
  return names;
}

config::Node read_cluster(const std::string& name_or_file) {
  const bool is_file = name_or_file.find('/') != std::string::npos || name_or_file.ends_with(".yaml");
  const auto built_in = std::ranges::find(config::kBuiltInClusters, name_or_file, &config::BuiltInCluster::name);
  if (!is_file && built_in == std::end(config::kBuiltInClusters))
    throw Error{ExitCode::usage, fmt::format("unknown cluster {}", config::in_quotes(name_or_file)), "command line",
                did_you_mean(name_or_file, built_in_clusters())};
  const auto name = is_file ? name_or_file : fmt::format("configs/clusters/{}.yaml", name_or_file);
  const auto source = std::make_shared<config::Source>(
      config::Source{config::printable(name), std::filesystem::absolute(name).parent_path()});
  return config::read_yaml(is_file ? config::read_text(name_or_file) : std::string(built_in->text), source);
}

const config::Node& cluster_section(const config::Node& cluster, std::string_view name) {
  const auto found = std::ranges::find(cluster.entries, name, &config::MapEntry::key);
  if (found == cluster.entries.end())
    throw Error{ExitCode::usage, fmt::format("the cluster has no section '{}'", name), cluster.place.words(),
                "configs/clusters/h100.yaml shows a whole one"};
  return found->value;
}

NetworkDescription cluster_network(const config::Node& cluster) {
  NetworkDescription network;
  for (const auto& entry : cluster.entries)
    if (entry.key == "name") network.name = entry.value.text;
  SectionReader reader(cluster_section(cluster, "network"), "network");
  network.ranks_per_node = reader.integer("ranks_per_node");
  network.rails_per_node = reader.integer("rails_per_node");
  network.node = read_link(reader.section("node"), "network.node");
  network.rail = read_link(reader.section("rail"), "network.rail");
  network.spine_latency_s = reader.number_or("spine_latency_s", config::between(0, 10), 0);
  network.spine_oversubscription = reader.number_or("spine_oversubscription", config::between(1, 1e6), 1);
  network.copy_bandwidth_bytes_per_s = reader.number("copy_bandwidth_bytes_per_s", config::between(1, 1e18));
  network.round_overhead_s = reader.number_or("round_overhead_s", config::between(0, 10), 0);
  reader.finish();
  return network;
}

std::string_view published_results() { return config::kPublishedResults; }
std::string_view published_experiment() { return config::kPublishedExperiment; }

}  // namespace swallowtail
