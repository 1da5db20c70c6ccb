#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>

#include "parallel/all_to_all/all_to_all.h"
#include "parallel/all_to_all/benchmark.h"
#include "parallel/all_to_all/measure_costs.h"
#include "parallel/mpi_reference.h"
#include "parallel/simulated/exchange_time.h"
#include "trainer/cli/bench.h"
#include "trainer/config/cluster_file.h"

namespace swallowtail::cli {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

constexpr std::string_view kReference = "MPI_Alltoallv";

template <typename T>
T number(std::string_view flag, std::string_view text, T low, T high) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !(value >= low && value <= high))
    throw Error{ExitCode::usage, fmt::format("--{} is '{}'", flag, text), "command line",
                fmt::format("give a number from {} to {}", low, high)};
  return value;
}

std::vector<int> world_sizes(std::string_view text) {
  std::vector<int> found;
  for (std::size_t start = 0; start <= text.size();) {
    const auto end = std::min(text.find(',', start), text.size());
    found.push_back(number("world-size", text.substr(start, end - start), 1, 4096));
    start = end + 1;
  }
  return found;
}

Json link_json(const Link& link) {
  return {{"latency_s", link.latency_s},
          {"message_overhead_s", link.message_overhead_s},
          {"bandwidth_bytes_per_s", link.bandwidth_bytes_per_s}};
}

Json network_json(const NetworkDescription& network) {
  return {{"name", network.name},
          {"node", link_json(network.node)},
          {"rail", link_json(network.rail)},
          {"ranks_per_node", network.ranks_per_node},
          {"rails_per_node", network.rails_per_node}};
}

Json choices_json(std::span<const AllToAllChoice> choices) {
  Json found = Json::array();
  for (const auto& choice : choices)
    found.push_back(
        {{"from_bytes", choice.from_bytes}, {"algorithm", choice.algorithm}, {"predicted_s", choice.seconds}});
  return found;
}

std::string size_text(std::int64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  return bytes < 1 << 20 ? fmt::format("{} KiB", bytes / 1024) : fmt::format("{} MiB", bytes >> 20);
}

/// One line a size, one column an algorithm, in microseconds.
class Table {
 public:
  void add(std::int64_t bytes, const std::string& column, std::string cell) {
    if (std::ranges::find(columns_, column) == columns_.end()) columns_.push_back(column);
    cells_[bytes][column] = std::move(cell);
  }
  std::string text() const {
    std::string text = fmt::format("{:>9}", "a peer");
    for (const auto& column : columns_) text += fmt::format(" {:>21}", column);
    text += "\n";
    for (const auto& [bytes, row] : cells_) {
      text += fmt::format("{:>9}", size_text(bytes));
      for (const auto& column : columns_) text += fmt::format(" {:>21}", row.contains(column) ? row.at(column) : "");
      text += "\n";
    }
    return text;
  }

 private:
  std::vector<std::string> columns_;
  std::map<std::int64_t, std::map<std::string, std::string>> cells_;
};

/// The limit of a cell is its best algorithm, its peer the MPI library's own exchange.
BenchReport measure(const Arguments& arguments, Ranks& ranks) {
  BenchmarkOptions options{.seconds_a_size = number("seconds", arguments.value("seconds", "1"), 0.01, 1000.0)};
  const auto largest = number<std::int64_t>("largest", arguments.value("largest", "4194304"), 16, 1 << 28);
  std::erase_if(options.sizes, [&](std::int64_t bytes) { return bytes > largest; });
  Communicator& all = ranks.connect(300);
  const auto start = Clock::now();
  const auto costs = measure_costs(all);
  const double model_s = std::chrono::duration<double>(Clock::now() - start).count();
  const auto timings = time_exchanges(all, costs, options, mpi_alltoallv);
  const auto choices = all_to_all_choices(*costs);

  BenchReport report;
  Table table;
  for (const auto bytes : options.sizes) {
    double best_s = 0, peer_s = 0;
    for (const auto& timing : timings) {
      if (timing.bytes_a_peer != bytes) continue;
      if (timing.algorithm == "reference") peer_s = timing.median_s;
      if (timing.algorithm != "reference" && timing.algorithm != "auto")
        best_s = best_s == 0 ? timing.median_s : std::min(best_s, timing.median_s);
    }
    for (const auto& timing : timings) {
      if (timing.bytes_a_peer != bytes) continue;
      const bool is_peer = timing.algorithm == "reference";
      const std::string name = is_peer ? std::string(kReference) : timing.algorithm;
      Json result = {
          {"case",
           {{"algorithm", name}, {"ranks", all.world_size()}, {"bytes_a_peer", bytes}, {"chosen", timing.chosen}}},
          {"value", timing.median_s},
          {"unit", "s"},
          {"min", timing.min_s},
          {"max", timing.max_s},
          {"limit", best_s},
          {"ratio_to_limit", timing.median_s / best_s},
          {"peer", peer_s},
          {"ratio_to_peer", timing.median_s / peer_s}};
      if (!is_peer) result["predicted"] = timing.predicted_s;
      report.results.push_back(std::move(result));
      table.add(bytes, name,
                is_peer ? fmt::format("{:.1f}", timing.median_s * 1e6)
                        : fmt::format("{:.1f} ({:.1f})", timing.median_s * 1e6, timing.predicted_s * 1e6));
    }
  }
  report.more = {
      {"model", network_json(costs->network())}, {"model_seconds", model_s}, {"auto", choices_json(choices)}};
  report.text = fmt::format(
      "all_to_all, {} ranks: microseconds measured (predicted)\n{}auto: {}\ncost model measured in {:.2f} s\n",
      all.world_size(), table.text(), describe(choices), model_s);
  return report;
}

/// The limit of a cell is its best algorithm, its peer the direct exchange.
BenchReport simulate(const Arguments& arguments) {
  auto network = cluster_network(read_cluster(arguments.value("simulate")));
  if (const auto rails = arguments.value("rails"); !rails.empty())
    network.rails_per_node = number("rails", rails, 1, 1024);
  std::vector<std::int64_t> sizes{858};  // of a DLRM-DCNv2 step on 1,024 GPUs
  for (std::int64_t bytes = 16; bytes <= 4 << 20; bytes *= 2) sizes.push_back(bytes);
  std::ranges::sort(sizes);

  const auto start = Clock::now();
  BenchReport report;
  Json worlds = Json::array();
  for (const int world_size : world_sizes(arguments.value("world-size", "64,256,1024,4096"))) {
    const auto nodes = full_nodes(world_size, network.ranks_per_node);
    const auto costs = std::make_shared<CostModel>(network, nodes);
    Table table;
    for (const auto bytes : sizes) {
      std::map<std::string_view, double> seconds;
      for (const auto& entry : all_to_all_algorithms())
        if (entry.make) seconds[entry.name] = ExchangeTime(entry.make, nodes).seconds(network, bytes);
      const auto by_time = [](const auto& a, const auto& b) { return a.second < b.second; };
      const double best_s = std::ranges::min_element(seconds, by_time)->second, peer_s = seconds.at("direct");
      for (const auto& [name, value] : seconds) {
        report.results.push_back({{"case", {{"algorithm", name}, {"ranks", world_size}, {"bytes_a_peer", bytes}}},
                                  {"value", value},
                                  {"unit", "s"},
                                  {"min", value},
                                  {"max", value},
                                  {"limit", best_s},
                                  {"ratio_to_limit", best_s > 0 ? value / best_s : 1},
                                  {"peer", peer_s},
                                  {"ratio_to_peer", peer_s > 0 ? value / peer_s : 1}});
        table.add(bytes, std::string(name), fmt::format("{:.1f}{}", value * 1e6, value == best_s ? " *" : ""));
      }
    }
    const auto choices = all_to_all_choices(*costs);
    worlds.push_back({{"ranks", world_size}, {"auto", choices_json(choices)}});
    report.text += fmt::format("{} with {} rails, {} ranks: microseconds simulated, * the least\n{}auto: {}\n\n",
                               network.name, network.rails_per_node, world_size, table.text(), describe(choices));
  }
  report.more = {{"model", network_json(network)},
                 {"worlds", worlds},
                 {"seconds", std::chrono::duration<double>(Clock::now() - start).count()}};
  return report;
}

BenchReport run(const Arguments& arguments, Ranks& ranks) {
  return measures_machine(arguments) ? measure(arguments, ranks) : simulate(arguments);
}

}  // namespace

bool measures_machine(const Arguments& arguments) { return !arguments.has("simulate"); }

const Bench kBenchAllToAll{.name = "alltoall", .summary = "the embedding exchange", .run = run};

}  // namespace swallowtail::cli
