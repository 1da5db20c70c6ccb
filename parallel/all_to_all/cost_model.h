// How long each all-to-all algorithm would take: the simulation of its messages on a described network
// (simulated/exchange_time.h), and where the ranks could measure, the measured times, which know of shared cores, eager
// limits and the like. Same input, same output, on every rank; const functions may be called from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/simulated/network.h"

namespace swallowtail {

class CostModel {
 public:
  /// From plain numbers (a cluster file, a simulated network). node_of [world_size]: machine of each rank. More than 32
  /// ranks on machines with unequal numbers of them are taken as if each had the largest number.
  CostModel(NetworkDescription network, std::span<const int> node_of);

  /// A time that was measured for chunks of `bytes`. Between measured sizes the ratio of measured to simulated time is
  /// interpolated over log(bytes); outside them it stays.
  void add_measurement(std::string_view algorithm, std::int64_t bytes_a_peer, double seconds);

  /// Predicted seconds of one exchange with equal chunks, bytes_a_peer >= 1.
  /// Errors: Error (ExitCode::usage) for an unknown name.
  double predict(std::string_view algorithm, std::int64_t bytes_a_peer) const;
  /// The same without the measurements.
  double simulate(std::string_view algorithm, std::int64_t bytes_a_peer) const;

  const NetworkDescription& network() const noexcept { return network_; }
  int world_size() const noexcept { return world_size_; }

 private:
  struct Curve {
    std::vector<double> simulated;           // seconds at 2^i bytes
    std::map<double, double> ratio_by_size;  // log2(bytes) -> measured / simulated
  };
  const Curve& curve(std::string_view algorithm) const;

  NetworkDescription network_;
  int world_size_;
  std::map<std::string, Curve, std::less<>> curves_;
};

}  // namespace swallowtail
