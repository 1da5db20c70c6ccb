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

/// Priors that validation may choose from: infinity, where all users have the same weights, then 4, 1 and 1/4 times the
/// mean of `interactions` over the strata that have any; infinity alone where fewer than two have.
std::vector<double> prior_choices(std::span<const std::int64_t> interactions);

class Gates {
 public:
  /// Rows of gates: strata 0 … strata - 1, cold users, new users.
  Gates(std::int64_t components, std::int64_t strata);

  /// Which components each row may use, [rows()] masks.
  void allow(std::span<const std::uint64_t> masks);
  /// Takes components from the strata that have others left; cold and new users, of whom the choice says nothing, keep
  /// theirs.
  void keep(std::uint64_t components);
  /// `interactions` [strata] of training; `prior`: n0, which may be infinite: then strata are not told apart.
  void shrink(std::span<const std::int64_t> interactions, double prior);

  /// Collective: weights of all pools together, then of each stratum's own.
  void search(const PooledRows& rows, std::int64_t k, Communicator& ranks);
  /// Of all pools together alone; returns them.
  std::vector<double> search_common(const PooledRows& rows, std::int64_t k, Communicator& ranks);
  /// Components of `order` get 1, 0.1, 0.01 … for new users, of whom nothing can be learnt; so for cold ones, where too
  /// few were searched over.
  void set_new(std::span<const std::size_t> order);
  void set_equal();

  /// [components] of a stratum, kColdStratum and kNewStratum among them; they add up to 1.
  std::vector<double> of(std::int32_t stratum) const;
  /// Components that the users of a stratum may use.
  std::uint64_t mask(std::int32_t stratum) const;
  /// Those of any stratum but the cold and new users'.
  std::uint64_t mask_of_strata() const;
  std::int64_t components() const noexcept { return components_; }
  std::int64_t rows() const noexcept { return strata_ + 2; }
  std::size_t row_of(std::int32_t stratum) const noexcept {
    return static_cast<std::size_t>(stratum < 0 ? strata_ - 1 - stratum : std::min<std::int64_t>(stratum, strata_ - 1));
  }

  // What is trained and saved.
  std::vector<float> common;  // G [C]
  std::vector<float> own;     // D [rows, C]
  std::vector<float> shares;  // a [rows]; 1 of cold and new users
  std::vector<float> used;    // [rows, C] 1: the row may use the component; elsewhere its gate is 0

 private:
  std::int64_t components_, strata_;
  bool knows_cold_ = false;
};

}  // namespace swallowtail
