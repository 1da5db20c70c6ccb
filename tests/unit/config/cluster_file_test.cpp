// Cluster files: the built-in ones are whole, and a wrong one is refused at its place.
#include "trainer/config/cluster_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "parallel/error.h"

namespace swallowtail {
namespace {

constexpr std::string_view kWhole =
    "network:\n"
    "  ranks_per_node: 4\n"
    "  rails_per_node: 2\n"
    "  node: {latency_s: 1e-6, message_overhead_s: 2e-7, bandwidth_bytes_per_s: 3e11}\n"
    "  rail: {latency_s: 4e-6, message_overhead_s: 5e-7, bandwidth_bytes_per_s: 5e10}\n"
    "  copy_bandwidth_bytes_per_s: 1e12\n";

class ClusterFile : public testing::Test {
 protected:
  NetworkDescription parse(std::string text) {
    std::ofstream(file_) << text;
    return cluster_network(read_cluster(file_.string()));
  }
  std::string refusal(std::string text) {
    try {
      parse(std::move(text));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.message();
    }
    return "";
  }
  static std::string replaced(std::string_view what, std::string_view with) {
    std::string text(kWhole);
    text.replace(text.find(what), what.size(), with);
    return text;
  }
  void TearDown() override { std::filesystem::remove(file_); }

  const std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / (std::string("cluster_") + std::to_string(getpid()) + ".yaml");
};

TEST_F(ClusterFile, BuiltInOnesAreWhole) {
  const auto names = built_in_clusters();
  EXPECT_TRUE(std::ranges::is_sorted(names));
  EXPECT_NE(std::ranges::find(names, "h100"), names.end());
  for (const auto name : names) {
    const auto network = cluster_network(read_cluster(std::string(name)));
    EXPECT_EQ(network.name, name);
    EXPECT_GT(network.node.bandwidth_bytes_per_s, network.rail.bandwidth_bytes_per_s) << name;
    EXPECT_GT(network.rail.latency_s, 0) << name;
  }
  EXPECT_EQ(cluster_network(read_cluster("h100")).rails_per_node, 8);
}

TEST_F(ClusterFile, EveryNumberArrives) {
  const auto network =
      parse("name: x\n" + std::string(kWhole) + "  spine_latency_s: 7e-6\n  spine_oversubscription: 3\n" +
            "  round_overhead_s: 8e-6\nother: {of: another reader}\n");
  EXPECT_EQ(network, (NetworkDescription{.name = "x",
                                         .node = {1e-6, 2e-7, 3e11},
                                         .rail = {4e-6, 5e-7, 5e10},
                                         .ranks_per_node = 4,
                                         .rails_per_node = 2,
                                         .spine_latency_s = 7e-6,
                                         .spine_oversubscription = 3,
                                         .copy_bandwidth_bytes_per_s = 1e12,
                                         .round_overhead_s = 8e-6}));
}

TEST_F(ClusterFile, WrongOnesAreRefusedAtTheirPlace) {
  const auto has = [](const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(has(refusal(replaced("rails_per_node", "rails_per_nod")), "did you mean 'rails_per_node'") ||
              has(refusal(replaced("rails_per_node", "rails_per_nod")), "has no rails_per_node"));
  EXPECT_TRUE(has(refusal(std::string(kWhole) + "  spine_latencys: 1\n"), ":7:3"));
  EXPECT_TRUE(has(refusal(std::string(kWhole) + "  spine_latencys: 1\n"), "did you mean 'spine_latency_s'"));
  EXPECT_TRUE(has(refusal(replaced("rails_per_node: 2", "rails_per_node: 0")), ":3:19"));
  EXPECT_TRUE(has(refusal(replaced("5e10", "fast")), "network.rail.bandwidth_bytes_per_s"));
  EXPECT_TRUE(has(refusal(replaced("5e10", "0")), "network.rail.bandwidth_bytes_per_s"));
  EXPECT_TRUE(has(refusal(replaced("  copy_bandwidth_bytes_per_s: 1e12\n", "")), "has no copy_bandwidth_bytes_per_s"));
  EXPECT_TRUE(has(refusal("name: x\n"), "no section 'network'"));
  EXPECT_TRUE(has(refusal("network: 3\n"), "must be a map"));
  EXPECT_TRUE(has(refusal("- 1\n"), "a map of sections"));
  EXPECT_THROW(read_cluster("/nowhere/x.yaml"), Error);
  try {
    read_cluster("h10");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.advice(), "did you mean 'h100'?");
  }
}

}  // namespace
}  // namespace swallowtail
