#include "parallel/all_to_all/benchmark.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>

#include "parallel/all_to_all/all_to_all.h"

namespace swallowtail {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kSample_s = 1e-3, kSampleLatencies = 8;

class Benchmark {
 public:
  Benchmark(Communicator& ranks, const std::shared_ptr<const CostModel>& costs,
            const std::function<void(ConstChunks, Chunks)>& reference)
      : ranks_(ranks), costs_(costs), reference_(reference) {
    for (const auto& entry : all_to_all_algorithms()) exchanges_.emplace_back(entry.name, ranks);
    exchanges_.emplace_back("auto", ranks, costs);
  }

  void size(std::int64_t bytes, const BenchmarkOptions& options, std::vector<ExchangeTiming>& timings) {
    const auto world = static_cast<std::size_t>(ranks_.world_size());
    offsets_ = byte_offsets(std::vector<std::int64_t>(world, bytes), 1);
    send_.resize(world * static_cast<std::size_t>(bytes), std::byte{1});
    recv_.resize(send_.size());
    const std::size_t cases = exchanges_.size() + (reference_ ? 1 : 0);
    std::vector<int> calls(cases, 1);
    std::vector<std::vector<double>> samples(cases);
    // Ranks leave a barrier a latency or so apart, which a long sample makes small.
    const double sample_s = std::max(kSample_s, kSampleLatencies * costs_->network().rail.latency_s);
    double turn_s = 0;
    for (std::size_t i = 0; i < cases; ++i) {  // warm up, and see how many calls make a sample
      sample(i, bytes, 1);
      const double once_s = sample(i, bytes, 1);
      calls[i] = std::clamp(static_cast<int>(std::ceil(sample_s / once_s)), 1, 200);
      turn_s += once_s * calls[i];
    }
    const int fit = static_cast<int>(options.seconds_a_size / turn_s) | 1;
    const int repeats = std::clamp(fit, options.least_repeats, options.most_repeats);
    for (int repeat = 0; repeat < repeats; ++repeat)
      for (std::size_t i = 0; i < cases; ++i) samples[i].push_back(sample(i, bytes, calls[i]));
    for (std::size_t i = 0; i < cases; ++i) timings.push_back(timing(i, bytes, samples[i]));
  }

 private:
  double sample(std::size_t which, std::int64_t bytes, int calls) {
    const ConstChunks send{send_, offsets_};
    const Chunks recv{recv_, offsets_};
    ranks_.barrier({"benchmark"});
    const auto start = Clock::now();
    for (int call = 0; call < calls; ++call) {
      if (which < exchanges_.size())
        exchanges_[which].run({"benchmark"}, send, recv, bytes);
      else
        reference_(send, recv);
    }
    auto ns = static_cast<std::int64_t>(std::chrono::duration<double, std::nano>(Clock::now() - start).count());
    ranks_.all_reduce_max({"benchmark"}, {&ns, 1});
    return static_cast<double>(std::max<std::int64_t>(ns, 1)) * 1e-9 / calls;
  }

  ExchangeTiming timing(std::size_t which, std::int64_t bytes, std::vector<double> samples) const {
    std::ranges::sort(samples);
    ExchangeTiming found{.bytes_a_peer = bytes,
                         .median_s = samples[samples.size() / 2],
                         .min_s = samples.front(),
                         .max_s = samples.back()};
    if (which >= exchanges_.size()) {
      found.algorithm = found.chosen = "reference";
      return found;
    }
    found.chosen = exchanges_[which].chosen(bytes).name;
    found.algorithm = which + 1 == exchanges_.size() ? "auto" : found.chosen;
    found.predicted_s = costs_->predict(found.chosen, bytes);
    return found;
  }

  Communicator& ranks_;
  const std::shared_ptr<const CostModel> costs_;
  const std::function<void(ConstChunks, Chunks)> reference_;
  std::deque<AllToAll> exchanges_;  // all algorithms, then auto
  std::vector<std::int64_t> offsets_;
  std::vector<std::byte> send_, recv_;
};

}  // namespace

std::vector<ExchangeTiming> time_exchanges(Communicator& ranks, const std::shared_ptr<const CostModel>& costs,
                                           const BenchmarkOptions& options,
                                           const std::function<void(ConstChunks, Chunks)>& reference) {
  std::vector<ExchangeTiming> timings;
  Benchmark benchmark(ranks, costs, reference);
  for (const auto bytes : options.sizes) benchmark.size(bytes, options, timings);
  return timings;
}

}  // namespace swallowtail
