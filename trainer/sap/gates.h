// The weights by which a stratum adds up its components: g_s = softmax(G + a_s D_s), so that sum_c g_sc z_c is the log
// of a product of experts. They start at a coordinate search for the best weighted sum, the best component first, and
// never at equal weights. The stratum's own part is shrunk: a_s = n_s / (n_s + n0) for n_s training interactions.
// Source: SAP.md 2.2 and 2.7.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trainer/sap/pooled.h"

namespace swallowtail {

class Gates {
 public:
  /// Rows of gates: strata 0 … strata - 1, cold users, new users.
  Gates(std::int64_t components, std::int64_t strata);

  /// Which components each row may use, [rows()] masks.
  void allow(std::vector<std::uint64_t> masks) { allowed_ = std::move(masks); }
  /// `interactions` [strata] of training; `prior`: n0.
  void shrink(std::span<const std::int64_t> interactions, double prior);

  /// Collective: weights of all pools together, then of each stratum's own.
  void search(const PooledRows& rows, std::int64_t k, Communicator& ranks);
  /// Components of `order` get 1, 0.1, 0.01 … for new users, of whom nothing can be learnt; so for cold ones, where too
  /// few were searched over.
  void set_new(std::span<const std::size_t> order);
  void set_equal();

  /// [components] of a stratum, kColdStratum and kNewStratum among them; they add up to 1.
  std::vector<double> of(std::int32_t stratum) const;
  std::int64_t components() const noexcept { return components_; }
  std::int64_t rows() const noexcept { return strata_ + 2; }
  std::size_t row_of(std::int32_t stratum) const noexcept {
    return static_cast<std::size_t>(stratum < 0 ? strata_ - 1 - stratum : std::min<std::int64_t>(stratum, strata_ - 1));
  }

  // What is trained and saved.
  std::vector<float> common;  // G [C]
  std::vector<float> own;     // D [rows, C]
  std::vector<float> shares;  // a [rows]; 1 of cold and new users

 private:
  std::vector<double> search_weights(const PooledRows& rows, std::uint64_t allowed, std::vector<double> start,
                                     std::int64_t k, Communicator& ranks) const;

  std::int64_t components_, strata_;
  bool knows_cold_ = false;
  std::vector<std::uint64_t> allowed_;
};

}  // namespace swallowtail
