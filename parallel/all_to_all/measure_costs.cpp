#include "parallel/all_to_all/measure_costs.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <vector>

#include "parallel/all_to_all/all_to_all.h"

namespace swallowtail {

namespace {

double steady_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Sizes at which the algorithms are measured: where eager limits and caches bend the curves. A slow network has no time
// for many.
constexpr std::array<std::int64_t, 9> kSizes{16, 256, 2048, 8192, 16384, 65536, 262144, 1 << 20, 4 << 20};
constexpr std::array<std::int64_t, 6> kSizesOfSlowNetwork{16, 512, 4096, 16384, 65536, 262144};
constexpr double kSlow_s = 5e-4;             // for a small message between neighbours
constexpr double kSample_s = 2e-4;           // calls back to back until about so long
constexpr double kSharesOfSlowNetwork = 12;  // of the budget, each size one
constexpr double kSampleLatencies = 8;
constexpr int kMostTurns = 41;
constexpr int kBurst = 16;
constexpr std::size_t kSmallRing = 65536, kLargeRing = std::size_t{1} << 20;
constexpr std::int64_t kWarmUpBytes = 8192;

class Measurement {
 public:
  Measurement(Communicator& ranks, double budget_s, std::function<double()> now_s)
      : ranks_(ranks), topology_(ranks.node_of()), budget_s_(budget_s), now_s_(std::move(now_s)) {}

  std::shared_ptr<const CostModel> run() {
    if (ranks_.world_size() > 1) warm_up();
    auto network = links();
    const auto model = std::make_shared<CostModel>(network, ranks_.node_of());
    if (ranks_.world_size() > 1) algorithms(*model);
    return model;
  }

 private:
  struct Measured {
    const AllToAllEntry* entry;
    std::unique_ptr<AllToAll> exchange;
    std::vector<double> seconds;
  };
  /// Equal chunks in the common buffer.
  class Chunked {
   public:
    Chunked(Measurement& of, std::int64_t bytes)
        : offsets_(
              byte_offsets(std::vector<std::int64_t>(static_cast<std::size_t>(of.ranks_.world_size()), bytes), 1)) {
      const auto all_bytes = static_cast<std::size_t>(offsets_.back());
      of.buffer_.resize(std::max(of.buffer_.size(), 2 * all_bytes));
      send_ = std::span(of.buffer_).first(all_bytes);
      recv_ = std::span(of.buffer_).subspan(all_bytes, all_bytes);
    }
    ConstChunks send() const { return {send_, offsets_}; }
    Chunks recv() const { return {recv_, offsets_}; }

   private:
    std::vector<std::int64_t> offsets_;
    std::span<std::byte> send_, recv_;
  };
  struct Ring {
    int to, from;  // -1: this rank is not in it
  };

  /// The largest of all ranks of each, the same on all. Also says how much of the budget is spent.
  void agree(std::span<double> seconds) {
    std::vector<std::int64_t> ns;
    for (const double one : seconds) ns.push_back(static_cast<std::int64_t>(one * 1e9));
    ns.push_back(static_cast<std::int64_t>((now_s_() - start_s_) * 1e9));
    ranks_.all_reduce_max({"cost model"}, ns);
    for (std::size_t i = 0; i < seconds.size(); ++i) seconds[i] = static_cast<double>(ns[i]) * 1e-9;
    spent_s_ = static_cast<double>(ns.back()) * 1e-9;
  }

  /// Every pair of ranks has its connection, and its windows are open.
  void warm_up() {
    const Chunked chunked(*this, kWarmUpBytes);
    AllToAll direct("direct", ranks_);
    for (int call = 0; call < 2; ++call) direct.run({"cost model"}, chunked.send(), chunked.recv(), kWarmUpBytes);
  }

  template <typename Call>
  double seconds_of(Call call) const {
    const double start_s = now_s_();
    call();
    return now_s_() - start_s;
  }

  /// Seconds of one step of the ring: `burst` messages of `bytes` to the next rank and from the rank before, under way
  /// at once; of the slowest rank.
  double step(const Ring& ring, std::size_t bytes, int burst, int calls) {
    buffer_.resize(std::max(buffer_.size(), 2 * bytes));
    const auto all = std::span(buffer_);
    const auto channel = ranks_.open_channel();
    const auto once = [&] {
      std::vector<std::unique_ptr<Pending>> pending;
      const Outgoing out{ring.to, all.first(bytes)};
      const Incoming in{ring.from, all.subspan(bytes, bytes)};
      for (int i = 0; i < burst; ++i)
        pending.push_back(ranks_.start_messages({"cost model"}, channel, {&out, 1}, {&in, 1}));
      for (auto& message : pending) message->wait();
    };
    std::array<double, 2> seconds{};
    for (auto& batch : seconds) {
      ranks_.barrier({"cost model"});
      // The mean of a batch: one step alone may find its message there already, from a neighbour that is ahead.
      if (ring.to >= 0)
        batch = seconds_of([&] {
                  for (int call = 0; call < calls; ++call) once();
                }) /
                calls;
    }
    agree(seconds);
    return std::min(seconds[0], seconds[1]);
  }

  Link link(const Ring& ring, int flows_a_port) {
    const double small_s = step(ring, 8, 1, 4), burst_s = step(ring, 8, kBurst, 2);
    std::size_t bytes = kSmallRing;
    double large_s = step(ring, bytes, 1, 1);
    if (large_s < 2e-3) large_s = step(ring, bytes = kLargeRing, 1, 4);
    Link link;
    // Where the latency is longer than the burst, messages are sent and received at different times, else one after
    // another by the same core.
    const double one_s = (burst_s - small_s) / (kBurst - 1);
    const bool is_hidden = small_s > (kBurst + 2) * one_s;
    link.message_overhead_s = std::clamp(is_hidden ? one_s : one_s / 2, 1e-8, small_s / 2);
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
    buffer_.resize(std::max(buffer_.size(), 2 * kLargeRing));
    const auto copy = [&] { std::memcpy(buffer_.data() + kLargeRing, buffer_.data(), kLargeRing); };
    double best_s = std::min(seconds_of(copy), seconds_of(copy));
    agree({&best_s, 1});
    return static_cast<double>(kLargeRing) / std::max(best_s, 1e-7);
  }

  /// Rising sizes, each with its share of what is left of the budget.
  void algorithms(CostModel& model) {
    for (const auto& entry : all_to_all_algorithms())
      if (!is_like_direct(entry)) measured_.push_back({&entry, std::make_unique<AllToAll>(entry.name, ranks_), {}});
    const bool is_slow = std::max(model.network().node.latency_s, model.network().rail.latency_s) > kSlow_s;
    const auto sizes =
        is_slow ? std::span<const std::int64_t>(kSizesOfSlowNetwork) : std::span<const std::int64_t>(kSizes);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      double turn_s = 0;
      for (const auto& one : measured_) turn_s += model.predict(one.entry->name, sizes[i]);
      const double left_s = budget_s_ - spent_s_;
      if (i > 0 && turn_s > left_s) return measure_some(model, sizes[i]);
      const double parts = is_slow ? kSharesOfSlowNetwork : static_cast<double>(sizes.size() - i);
      measure_size(model, sizes[i], (is_slow ? budget_s_ : left_s) / parts);
    }
  }

  /// The size at which the budget ends: the fastest algorithms once, as long as it lasts. The others are taken to
  /// differ from what was predicted of them as these do.
  void measure_some(CostModel& model, std::int64_t bytes) {
    const auto predicted = [&](const Measured& one) { return model.predict(one.entry->name, bytes); };
    std::ranges::stable_sort(measured_, {}, predicted);
    std::vector<double> expected;
    for (const auto& one : measured_) expected.push_back(predicted(one));
    double change = 1;  // the geometric mean of measured / predicted
    const Chunked chunked(*this, bytes);
    std::size_t done = 0;
    for (; done < measured_.size() && change * expected[done] < budget_s_ - spent_s_; ++done) {
      ranks_.barrier({"cost model"});
      double seconds =
          seconds_of([&] { measured_[done].exchange->run({"cost model"}, chunked.send(), chunked.recv(), bytes); });
      agree({&seconds, 1});
      const auto known = static_cast<double>(done);
      change = std::pow(change, known / (known + 1)) * std::pow(seconds / expected[done], 1 / (known + 1));
      record(model, measured_[done], bytes, seconds);
    }
    for (; done < measured_.size(); ++done) record(model, measured_[done], bytes, change * expected[done]);
  }

  /// On one machine, or with one rank on each, its rounds are those of the direct exchange.
  bool is_like_direct(const AllToAllEntry& entry) const {
    return entry.make == make_hierarchical && (topology_.nodes() == 1 || topology_.nodes() == ranks_.world_size());
  }

  void record(CostModel& model, const Measured& one, std::int64_t bytes, double seconds) const {
    for (const auto& entry : all_to_all_algorithms())
      if (&entry == one.entry || (one.entry->make == make_direct && is_like_direct(entry)))
        model.add_measurement(entry.name, bytes, seconds);
  }

  /// Every algorithm at one size, in turns, so that a disturbance meets all.
  void measure_size(CostModel& model, std::int64_t bytes, double share_s) {
    const Chunked chunked(*this, bytes);
    // Ranks leave a barrier a latency or so apart, which a long sample makes small.
    const double sample_s = std::max(kSample_s, kSampleLatencies * model.network().rail.latency_s);
    const double end_s = spent_s_ + share_s;
    int turns = 0;
    for (double turn_s = 0; turns == 0 || (turns < kMostTurns && spent_s_ + turn_s < end_s); ++turns) {
      const double before_s = spent_s_;
      std::vector<double> seconds;
      for (auto& one : measured_) {
        const double expected_s = std::max(model.predict(one.entry->name, bytes), 1e-9);
        const int calls = std::clamp(static_cast<int>(std::ceil(sample_s / expected_s)), 1, 20);
        ranks_.barrier({"cost model"});
        seconds.push_back(seconds_of([&] {
          for (int call = 0; call < calls; ++call)
            one.exchange->run({"cost model"}, chunked.send(), chunked.recv(), bytes);
        }));
        seconds.back() /= calls;
      }
      agree(seconds);
      for (std::size_t i = 0; i < measured_.size(); ++i) measured_[i].seconds.push_back(seconds[i]);
      turn_s = spent_s_ - before_s;
    }
    for (auto& one : measured_) {
      if (turns > 2) one.seconds.erase(one.seconds.begin());  // it warmed up
      // The lower quartile: what other programs on these cores take away is not the algorithm's cost.
      const auto quartile = one.seconds.begin() + std::ssize(one.seconds) / 4;
      std::ranges::nth_element(one.seconds, quartile);
      record(model, one, bytes, *quartile);
      one.seconds.clear();
    }
  }

  Communicator& ranks_;
  const Topology topology_;
  const double budget_s_;
  const std::function<double()> now_s_;
  const double start_s_ = now_s_();
  double spent_s_ = 0;
  std::vector<std::byte> buffer_;
  std::vector<Measured> measured_;
};

}  // namespace

std::shared_ptr<const CostModel> measure_costs(Communicator& ranks, double budget_s,
                                               const std::function<double()>& now_s) {
  return Measurement(ranks, budget_s, now_s ? now_s : steady_s).run();
}

}  // namespace swallowtail
