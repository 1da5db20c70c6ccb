#include "trainer/config/cluster_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "trainer/config/built_in_clusters.h"
#include "trainer/config/nearest.h"
#include "trainer/config/value.h"
#include "trainer/config/yaml_reader.h"

namespace swallowtail {

namespace {

using config::Key;
using config::Kind;
using config::Node;

/// One section's keys, read one by one; finish() refuses the others.
class SectionReader {
 public:
  SectionReader(const Node& section, std::string path) : section_(section), path_(std::move(path)) {
    if (section.shape != Node::Shape::map)
      throw Error{ExitCode::usage, fmt::format("{} must be a map", path_), section.place.words()};
  }

  double number(std::string_view key, config::Range range) { return read<double>(key, Kind::number, range); }
  double number_or(std::string_view key, config::Range range, double fallback) {
    return find(key) ? number(key, range) : fallback;
  }
  int integer(std::string_view key) {
    return static_cast<int>(read<std::int64_t>(key, Kind::integer, config::between(1, 1 << 20)));
  }
  const Node& section(std::string_view key) {
    known_.push_back(key);
    const Node* const found = find(key);
    if (!found) missing(key);
    return *found;
  }

  void finish() const {
    for (const auto& entry : section_.entries)
      if (std::ranges::find(known_, entry.key) == known_.end())
        throw Error{ExitCode::usage, fmt::format("unknown key {} in {}", config::in_quotes(entry.key), path_),
                    entry.key_place.words(), did_you_mean(entry.key, known_)};
  }

 private:
  const Node* find(std::string_view key) {
    known_.push_back(key);
    for (const auto& entry : section_.entries)
      if (entry.key == key) return &entry.value;
    return nullptr;
  }
  [[noreturn]] void missing(std::string_view key) const {
    throw Error{ExitCode::usage, fmt::format("{} has no {}", path_, key), section_.place.words(),
                "configs/clusters/h100.yaml shows a whole one"};
  }
  template <typename T>
  T read(std::string_view key, Kind kind, config::Range range) {
    const Node* const found = find(key);
    if (!found) missing(key);
    const Key rule{.path = key, .kind = kind, .range = range};
    return std::get<T>(config::parse_value(rule, *found, fmt::format("{}.{}", path_, key)));
  }

  const Node& section_;
  const std::string path_;
  std::vector<std::string_view> known_;
};

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

NetworkDescription cluster_network(const config::Node& cluster) {
  NetworkDescription network;
  for (const auto& entry : cluster.entries)
    if (entry.key == "name") network.name = entry.value.text;
  const auto found = std::ranges::find(cluster.entries, "network", &config::MapEntry::key);
  if (found == cluster.entries.end())
    throw Error{ExitCode::usage, "the cluster has no section 'network'", cluster.place.words()};
  SectionReader reader(found->value, "network");
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

}  // namespace swallowtail
