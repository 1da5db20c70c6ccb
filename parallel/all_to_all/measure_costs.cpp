#include "parallel/all_to_all/measure_costs.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <vector>

#include "parallel/all_to_all/all_to_all.h"

namespace swallowtail {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array<std::int64_t, 9> kSizes{16, 256, 2048, 8192, 16384, 65536, 262144, 1 << 20, 4 << 20};
constexpr int kMostRepeats = 9;
constexpr int kBurst = 16;

class Measurement {
 public:
  Measurement(Communicator& ranks, double budget_s) : ranks_(ranks), topology_(ranks.node_of()), budget_s_(budget_s) {}

  std::shared_ptr<const CostModel> run() {
    auto network = links();
    const auto model = std::make_shared<CostModel>(network, ranks_.node_of());
    if (ranks_.world_size() > 1) algorithms(*model);
    return model;
  }

 private:
  struct Ring {
    int to, from;  // -1: this rank is not in it
  };

  /// The largest of all ranks, the same on all; counted against the budget.
  double agreed(double seconds) {
    auto ns = static_cast<std::int64_t>(seconds * 1e9);
    ranks_.all_reduce_max({"cost model"}, {&ns, 1});
    return static_cast<double>(ns) * 1e-9;
  }

  template <typename Call>
  double time(int calls, Call call) {
    ranks_.barrier({"cost model"});
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    const double seconds = agreed(std::chrono::duration<double>(Clock::now() - start).count());
    spent_s_ += seconds;
    return seconds / calls;
  }

  /// Seconds of one step of the ring: a message of `bytes` to the next rank and one from the rank before.
  /// `burst` messages are under way at once.
  double step(const Ring& ring, std::size_t bytes, int burst, int calls) {
    buffer_.resize(std::max(buffer_.size(), 2 * bytes));
    const auto all = std::span(buffer_);
    const auto once = [&](int repeats) {
      std::vector<std::unique_ptr<Pending>> pending;
      const auto channel = ranks_.open_channel();
      if (ring.to < 0) return;
      const Outgoing out{ring.to, all.first(bytes)};
      const Incoming in{ring.from, all.subspan(bytes, bytes)};
      for (int i = 0; i < repeats; ++i)
        pending.push_back(ranks_.start_messages({"cost model"}, channel, {&out, 1}, {&in, 1}));
      for (auto& message : pending) message->wait();
    };
    once(burst);
    return time(calls, [&] { once(burst); });
  }

  Link link(const Ring& ring, int flows_a_port) {
    const double small_s = std::min(step(ring, 8, 1, 4), step(ring, 8, 1, 4));
    const double burst_s = step(ring, 8, kBurst, 2);
    std::size_t bytes = 65536;
    double large_s = step(ring, bytes, 1, 1);
    if (large_s < 2e-3) large_s = step(ring, bytes = std::size_t{1} << 20, 1, 2);
    Link link;
    link.message_overhead_s = std::clamp((burst_s - small_s) / (2 * (kBurst - 1)), 1e-8, small_s / 2);
    link.latency_s = std::max(1e-8, small_s - 2 * link.message_overhead_s);
    link.bandwidth_bytes_per_s = static_cast<double>(bytes) * flows_a_port / std::max(large_s - small_s, 1e-7);
    return link;
  }

  NetworkDescription links() {
    NetworkDescription network{.name = "measured"};
    network.node = network.rail = {1e-7, 1e-7, 1e10};
    const auto by_size = [](const auto& a, const auto& b) { return a.size() < b.size(); };
    const auto [least, most] = std::ranges::minmax_element(topology_.ranks_of_node, by_size);
    network.ranks_per_node = static_cast<int>(most->size());
    if (ranks_.world_size() == 1) return network;
    const int self = ranks_.rank(), node = topology_.node(self), place = topology_.place(self);
    const auto& mine = topology_.ranks(node);
    if (most->size() > 1) {
      const int n = static_cast<int>(mine.size());
      Ring ring{-1, -1};
      if (n > 1)
        ring = {mine[static_cast<std::size_t>((place + 1) % n)], mine[static_cast<std::size_t>((place + n - 1) % n)]};
      network.node = network.rail = link(ring, 1);
    }
    if (topology_.nodes() > 1) {
      const int flows = static_cast<int>(least->size()), nodes = topology_.nodes();
      Ring ring{-1, -1};
      if (place < flows)
        ring = {topology_.ranks((node + 1) % nodes)[static_cast<std::size_t>(place)],
                topology_.ranks((node + nodes - 1) % nodes)[static_cast<std::size_t>(place)]};
      network.rail = link(ring, flows);
      if (most->size() == 1) network.node = network.rail;
    }
    network.copy_bandwidth_bytes_per_s = copy_bandwidth();
    return network;
  }

  double copy_bandwidth() {
    constexpr std::size_t kBytes = std::size_t{1} << 20;
    buffer_.resize(std::max(buffer_.size(), 2 * kBytes));
    const double seconds = time(4, [&] { std::memcpy(buffer_.data() + kBytes, buffer_.data(), kBytes); });
    return static_cast<double>(kBytes) / std::max(seconds, 1e-7);
  }

  /// Every algorithm at one size, in turns, so that a disturbance meets all; the median of each.
  void algorithms(CostModel& model) {
    for (std::size_t i = 0; i < kSizes.size(); ++i) {
      const auto bytes = kSizes[i];
      double round_s = 0;  // all algorithms once, and once more to warm up
      for (const auto& entry : all_to_all_algorithms()) round_s += model.predict(entry.name, bytes);
      const double share_s = (budget_s_ - spent_s_) / static_cast<double>(kSizes.size() - i);
      if (i > 0 && 1.5 * round_s > budget_s_ - spent_s_) return;
      const int repeats = std::clamp(static_cast<int>(share_s / round_s) - 1, 1, kMostRepeats);
      measure_size(model, bytes, repeats);
    }
  }

  void measure_size(CostModel& model, std::int64_t bytes, int repeats) {
    const auto ranks = static_cast<std::size_t>(ranks_.world_size());
    const std::vector<std::int64_t> counts(ranks, bytes);
    const auto offsets = byte_offsets(counts, 1);
    buffer_.resize(std::max(buffer_.size(), 2 * ranks * static_cast<std::size_t>(bytes)));
    const auto all = std::span(buffer_);
    const ConstChunks send{all.first(static_cast<std::size_t>(offsets.back())), offsets};
    const Chunks recv{all.subspan(static_cast<std::size_t>(offsets.back()), static_cast<std::size_t>(offsets.back())),
                      offsets};
    const auto entries = all_to_all_algorithms();
    std::vector<std::vector<double>> times(entries.size());
    std::vector<AllToAll> exchanges;
    for (const auto& entry : entries) exchanges.emplace_back(entry.name, ranks_);
    for (int repeat = repeats > 1 ? -1 : 0; repeat < repeats; ++repeat)  // the first of several warms up
      for (std::size_t a = 0; a < entries.size(); ++a) {
        const int calls = model.predict(entries[a].name, bytes) < 1e-4 ? 3 : 1;
        const double seconds = time(calls, [&] { exchanges[a].run({"cost model"}, send, recv, bytes); });
        if (repeat >= 0) times[a].push_back(seconds);
      }
    for (std::size_t a = 0; a < entries.size(); ++a) {
      auto middle = times[a].begin() + std::ssize(times[a]) / 2;
      std::ranges::nth_element(times[a], middle);
      model.add_measurement(entries[a].name, bytes, *middle);
    }
  }

  Communicator& ranks_;
  const Topology topology_;
  const double budget_s_;
  double spent_s_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace

std::shared_ptr<const CostModel> measure_costs(Communicator& ranks, double budget_s) {
  return Measurement(ranks, budget_s).run();
}

}  // namespace swallowtail
