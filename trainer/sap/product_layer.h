// The product layer: one score for an item of a user's pool from the scores z_c that every component gives it.
//   s = e^t * sum_c g_sc z_c + MLP(phi),   phi = [z_c, z_c z_c' (c <= c'), stratum, popularity, activity]
// The gates g are those of gates.h; the last layer of the MLP starts at zero, so that training starts at the weighted
// sum. Trained by BPR on items that the components have not seen, against others of the user's own pool; what is kept
// is the step that is best on validation, which may be the start. Every rank adds the gradients of its rows; the sums
// go in one fixed tree, so that all ranks apply the same update on any number of them. Sources: SAP.md 2.7; Qu et al.,
// ICDM 2016 (products of features); the components' vectors themselves are not asked for, their products are the z_c.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "trainer/sap/gates.h"
#include "trainer/sap/sap_options.h"

namespace swallowtail {

class ProductLayer {
 public:
  /// `components`: their names, of which each has its own start, whatever stands beside it.
  ProductLayer(const std::vector<std::string>& components, std::int64_t strata, const Interactions& data,
               const ProductOptions& options, std::uint64_t seed);

  Gates gates;

  /// Collective. `learn`: rows that components have not seen; `judge`: of validation. Trains from where the gates
  /// stand. Returns NDCG@k of `judge` after each look, the start first, and which of them is kept.
  nlohmann::json train(const PooledRows& learn, const PooledRows& judge, std::int64_t k, Communicator& ranks);
  /// Collective: trains under each of `priors` of the gates (Gates::shrink) from the same start, and keeps the one that
  /// is best on `judge`, the first among equals.
  nlohmann::json train_by_prior(std::span<const double> priors, std::span<const std::int64_t> interactions,
                                const PooledRows& learn, const PooledRows& judge, std::int64_t k, Communicator& ranks);

  void score(const PooledRow& row, std::span<float> out) const;
  /// What each component adds to the score of the item at `place`.
  std::vector<double> parts(const PooledRow& row, std::size_t place) const;

  std::vector<RankerState> state();
  std::int64_t parameters() const noexcept;

 private:
  struct Layer {
    std::int64_t in, out;
    std::size_t weights, bias;  // places in mlp_; weights [in, out]
  };
  struct Pass {
    std::vector<std::vector<float>> values;  // of one item, [layers + 1]: the input first, after the ReLU
  };

  std::int64_t features() const noexcept;
  void draw_start();
  void features_of(const PooledRow& row, std::size_t place, float* out) const;
  float forward(Pass& pass, std::span<const float> x) const;
  double gradient_of(const PooledRow& row, std::int64_t number, std::int64_t step, std::span<double> gradient) const;
  std::vector<float> flat() const;
  void take(std::span<const float> values);

  std::int64_t components_;
  std::vector<std::uint64_t> keys_;  // of the components' names
  ProductOptions options_;
  std::uint64_t seed_;
  std::vector<float> popularity_;  // [items] of the training interactions, logarithm, standardised
  std::vector<Layer> layers_;
  std::vector<float> mlp_, scale_{0.0F};  // t
  double activity_mean_ = 0;
  const Histories& train_;
};

}  // namespace swallowtail
