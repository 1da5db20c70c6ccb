#include "trainer/data/synthetic.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/random.h"
#include "trainer/data/synthetic_tables.h"

namespace swallowtail {

namespace {

using random::bits;
using random::purpose;

enum class DenseDistribution : std::uint8_t { uniform, normal, lognormal };
enum class IdDistribution : std::uint8_t { uniform, zipf, gaussian };

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// The bias with which sigmoid(bias + strength * z), z ~ N(0, 1), is `rate` on average: bisection over a fixed
/// quadrature.
double bias_for(double rate, double strength) {
  constexpr int kPoints = 400;
  const auto mean = [&](double bias) {
    double sum = 0, mass = 0;
    for (int i = 0; i < kPoints; ++i) {
      const double z = -5 + 10 * (i + 0.5) / kPoints, density = std::exp(-z * z / 2);
      sum += density * sigmoid(bias + strength * z);
      mass += density;
    }
    return sum / mass;
  };
  double low = -40, high = 40;
  for (int i = 0; i < 80; ++i) (mean((low + high) / 2) < rate ? low : high) = (low + high) / 2;
  return (low + high) / 2;
}

class Synthetic : public Dataset {
 public:
  Synthetic(const Section& experiment, std::uint64_t seed, std::string_view split, std::int64_t samples)
      : seed_(seed), split_(purpose(split)), samples_(samples), tables_(synthetic_shape(experiment).tables) {
    const std::string dense = experiment.text("data.dense_distribution"), ids = experiment.text("data.id_distribution");
    dense_distribution_ = dense == "normal"      ? DenseDistribution::normal
                          : dense == "lognormal" ? DenseDistribution::lognormal
                                                 : DenseDistribution::uniform;
    id_distribution_ = ids == "zipf"       ? IdDistribution::zipf
                       : ids == "gaussian" ? IdDistribution::gaussian
                                           : IdDistribution::uniform;
    unique_ids_ = experiment.boolean("data.unique_ids");
    planted_ = experiment.text("data.labels") == "planted";
    latent_dim_ = experiment.integer("data.planted.latent_dim");
    strength_ = experiment.number("data.planted.strength");
    bias_ = bias_for(experiment.number("data.planted.base_rate"), strength_);
    const std::int64_t dense_features = synthetic_shape(experiment).dense_features;
    for (std::int64_t d = 0; d < dense_features; ++d) shape_.dense.push_back(fmt::format("d{}", d));
    for (const SyntheticTable& table : tables_)
      shape_.categorical.push_back({table.name, table.rows, table.dim,
                                    table.fixed ? table.pooling_factor : (1 + table.pooling_factor) / 2,
                                    id_distribution_ == IdDistribution::zipf ? table.zipf : 0, false});
    shape_.labels = {"label"};
  }

  const DataShape& shape() const noexcept override { return shape_; }
  std::int64_t size() const noexcept override { return samples_; }
  std::string origin(std::int64_t sample) const override { return fmt::format("synthetic sample {}", sample); }

  void read(std::span<const std::int64_t> samples, Batch& out) const override {
    out.size = static_cast<std::int64_t>(samples.size());
    out.samples.assign(samples.begin(), samples.end());
    out.weights.clear();
    out.dense.clear();
    out.labels.clear();
    out.ids.resize(tables_.size());
    for (JaggedIds& ids : out.ids) {
      ids.values.clear();
      ids.weights.clear();
      ids.offsets.assign(1, 0);
    }
    for (const std::int64_t sample : samples) {
      for (std::size_t d = 0; d < shape_.dense.size(); ++d) out.dense.push_back(dense_value(sample, d));
      for (std::size_t t = 0; t < tables_.size(); ++t) append_bag(sample, t, out.ids[t]);
      const double label_draw =
          random::uniform(bits(seed_ ^ split_, purpose("label"), static_cast<std::uint64_t>(sample)));
      out.labels.push_back(label_draw < (planted_ ? planted_probability(out) : 0.5) ? 1.0F : 0.0F);
    }
  }

  std::optional<double> true_probability(std::int64_t sample) const override {
    if (!planted_) return {};
    Batch batch;
    read(std::span(&sample, 1), batch);
    return planted_probability(batch);
  }

 private:
  float dense_value(std::int64_t sample, std::size_t column) const {
    const std::uint64_t key = bits(seed_ ^ split_, purpose("dense value"), static_cast<std::uint64_t>(sample), column);
    if (dense_distribution_ == DenseDistribution::uniform) return static_cast<float>(random::uniform(key));
    const double z = random::normal(key);
    return static_cast<float>(dense_distribution_ == DenseDistribution::normal ? z : std::exp(z));
  }

  /// About N(0, 1), whatever the distribution.
  double standard_dense(float value) const {
    switch (dense_distribution_) {
      case DenseDistribution::uniform:
        return (value - 0.5) * std::sqrt(12.0);
      case DenseDistribution::normal:
        return value;
      case DenseDistribution::lognormal:
        return std::log(std::max(value, 1e-30F));
    }
    return value;
  }

  void append_bag(std::int64_t sample, std::size_t t, JaggedIds& ids) const {
    const SyntheticTable& table = tables_[t];
    const std::uint64_t bag = bits(seed_ ^ split_, purpose("bag"), static_cast<std::uint64_t>(sample), t);
    const auto most = static_cast<std::int64_t>(std::llround(table.pooling_factor));
    const std::int64_t count =
        table.fixed ? most : 1 + random::below(random::mix(bag ^ 1), std::max<std::int64_t>(most, 1));
    const auto begin = static_cast<std::ptrdiff_t>(ids.values.size());
    for (std::int64_t i = 0; i < count; ++i)
      ids.values.push_back(draw_id(table, bits(bag, 2, static_cast<std::uint64_t>(i))));
    if (unique_ids_) {
      std::sort(ids.values.begin() + begin, ids.values.end());
      ids.values.erase(std::unique(ids.values.begin() + begin, ids.values.end()), ids.values.end());
    }
    ids.offsets.push_back(static_cast<std::int64_t>(ids.values.size()));
  }

  std::int64_t draw_id(const SyntheticTable& table, std::uint64_t key) const {
    const auto rows = static_cast<double>(table.rows);
    double id = 0;
    switch (id_distribution_) {
      case IdDistribution::uniform:
        return random::below(key, table.rows);
      case IdDistribution::gaussian:
        id = rows / 2 + random::normal(key) * rows / 6;
        break;                      // the middle, +- 3 sigma
      case IdDistribution::zipf: {  // inverse of the continuous Zipf distribution on 1 … rows; row 0 is the most
                                    // popular
        const double u = random::uniform(key), s = 1 - table.zipf;
        id = (std::abs(s) < 1e-9 ? std::pow(rows, u) : std::pow(u * (std::pow(rows, s) - 1) + 1, 1 / s)) - 1;
        break;
      }
    }
    return std::clamp(static_cast<std::int64_t>(id), std::int64_t{0}, table.rows - 1);
  }

  double latent(std::size_t table, std::int64_t row, std::int64_t component) const {
    return random::normal(
        bits(seed_, purpose("latent") + static_cast<std::uint64_t>(component), table, static_cast<std::uint64_t>(row)));
  }

  /// The true P(label = 1) of the last sample of `batch`. The score mixes a linear part of every row (half of the
  /// variance), products of latent vectors of all pairs of tables (35 %) and the dense columns (15 %), each of
  /// variance 1.
  double planted_probability(const Batch& batch) const {
    double linear = 0, squares = 0, pairs = 0, dense = 0;
    std::vector<double> total(static_cast<std::size_t>(latent_dim_), 0.0);
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      const JaggedIds& ids = batch.ids[t];
      const std::int64_t end = ids.offsets.back(), begin = ids.offsets[ids.offsets.size() - 2];
      const double share = 1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(end - begin, 1)));
      for (std::int64_t component = -1; component < latent_dim_; ++component) {
        double sum = 0;
        for (std::int64_t i = begin; i < end; ++i) sum += latent(t, ids.values[i], component);
        sum *= share;
        if (component < 0) {
          linear += sum;
        } else {
          total[component] += sum;
          squares += sum * sum;
        }
      }
    }
    for (const double sum : total) pairs += sum * sum;
    pairs = (pairs - squares) / 2;  // sum over pairs of tables of their latent vectors' products
    const auto tables = static_cast<double>(tables_.size());
    const std::size_t width = shape_.dense.size(), at = batch.dense.size() - width;
    for (std::size_t d = 0; d < width; ++d)
      dense += standard_dense(batch.dense[at + d]) * random::normal(bits(seed_, purpose("dense weight"), d));
    double score = 0;
    if (tables > 0) score += std::sqrt(0.5) * linear / std::sqrt(tables);
    if (tables > 1 && latent_dim_ > 0)
      score += std::sqrt(0.35) * pairs / std::sqrt(tables * (tables - 1) / 2 * static_cast<double>(latent_dim_));
    if (width > 0) score += std::sqrt(0.15) * dense / std::sqrt(static_cast<double>(width));
    return sigmoid(bias_ + strength_ * score);
  }

  std::uint64_t seed_, split_;
  std::int64_t samples_, latent_dim_ = 0;
  std::vector<SyntheticTable> tables_;
  DataShape shape_;
  DenseDistribution dense_distribution_ = DenseDistribution::uniform;
  IdDistribution id_distribution_ = IdDistribution::uniform;
  bool unique_ids_ = false, planted_ = false;
  double strength_ = 0, bias_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> make_synthetic(const Section& experiment, std::uint64_t seed, std::string_view split) {
  const std::string key = split == "train" ? "data.samples" : fmt::format("data.{}_samples", split);
  const std::int64_t samples = experiment.integer(key);
  if (samples == 0) return nullptr;
  return std::make_unique<Synthetic>(experiment, seed, split, samples);
}

}  // namespace swallowtail
