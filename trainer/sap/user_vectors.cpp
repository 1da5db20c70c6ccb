#include "trainer/sap/user_vectors.h"

#include <algorithm>
#include <cmath>

#include "trainer/sap/truncated_svd.h"

namespace swallowtail {
namespace {

constexpr double kChance = 4;  // a column of noise explains 1 / users on average, and more than this rarely

std::int64_t svd_rank(const Interactions& data, const UserVectorOptions& options) {
  return std::min({options.rank, data.users.size(), data.items.size()});
}

/// Columns of `rows` [users, width] get mean 0 and together variance 1, times weight.
void standardise(std::vector<double>& rows, std::int64_t width, double weight) {
  const auto users = width == 0 ? 0 : static_cast<std::int64_t>(rows.size()) / width;
  double variance = 0;
  for (std::int64_t j = 0; j < width; ++j) {
    double mean = 0;
    for (std::int64_t u = 0; u < users; ++u) mean += rows[u * width + j];
    mean /= static_cast<double>(users);
    for (std::int64_t u = 0; u < users; ++u) {
      rows[u * width + j] -= mean;
      variance += rows[u * width + j] * rows[u * width + j];
    }
  }
  variance /= static_cast<double>(std::max<std::int64_t>(1, users));
  const double factor = variance > 1e-18 ? weight / std::sqrt(variance) : 0;
  for (double& value : rows) value *= factor;
}

/// Factors of the demographic block's columns: total variance 1, times weight, shared among the columns by what they
/// explain of `profiles` [users, rank], which have total variance 1.
std::vector<float> demographic_scale(const Demographics& demographics, std::span<const std::int64_t> users,
                                     const std::vector<double>& profiles, std::int64_t rank, double weight) {
  const std::int64_t width = demographics.width();
  const auto count = static_cast<double>(users.size());
  std::vector<double> block(static_cast<std::size_t>(width)), variance(block.size(), 0.0);
  std::vector<double> common(static_cast<std::size_t>(width * rank), 0.0);  // covariances
  for (std::size_t u = 0; u < users.size(); ++u) {
    demographics.encode(users[u], block);
    for (std::int64_t d = 0; d < width; ++d) {
      variance[d] += block[d] * block[d] / count;
      for (std::int64_t j = 0; j < rank; ++j)
        common[d * rank + j] += block[d] * profiles[u * static_cast<std::size_t>(rank) + j] / count;
    }
  }
  double profile_variance = 0;
  for (const double value : profiles) profile_variance += value * value / count;
  std::vector<double> counts(block.size(), 0.0);
  double total = 0;
  for (std::int64_t d = 0; d < width; ++d) {
    double explained = 0;
    for (std::int64_t j = 0; j < rank; ++j) explained += common[d * rank + j] * common[d * rank + j];
    const double scale = variance[d] * profile_variance;
    explained = scale > 0 ? explained / scale : 0;
    counts[d] = std::sqrt(std::max(0.0, explained - kChance / count));
    total += counts[d] * counts[d] * variance[d];
  }
  std::vector<float> scale;
  for (const double one : counts) scale.push_back(total > 0 ? static_cast<float>(weight * one / std::sqrt(total)) : 0);
  return scale;
}

}  // namespace

std::int64_t user_vector_dim(const Interactions& data, const UserVectorOptions& options,
                             const Demographics& demographics) {
  return svd_rank(data, options) + demographics.width() + 1;
}

UserVectors user_vectors(const Interactions& data, std::span<const std::int64_t> users,
                         const Demographics& demographics, const UserVectorOptions& options, Communicator& ranks) {
  const auto count = static_cast<std::int64_t>(users.size());
  const TruncatedSvd svd =
      truncated_svd(data.train, data.items.size(), {.rank = options.rank, .seed = options.seed}, ranks);
  std::vector<double> profiles, activity;
  for (const std::int64_t user : users) {
    const auto touched = static_cast<double>(data.train.count(user));
    for (std::int64_t j = 0; j < svd.rank; ++j) {
      const double signal = svd.values[j] * svd.values[j] - svd.next_value * svd.next_value;
      profiles.push_back(svd.users[user * svd.rank + j] * std::sqrt(std::max(0.0, signal) / touched));
    }
    activity.push_back(std::log1p(touched));
  }
  standardise(profiles, svd.rank, 1);
  standardise(activity, 1, options.activity_weight);

  UserVectors made;
  made.demographic_scale = demographic_scale(demographics, users, profiles, svd.rank, options.demographic_weight);
  made.demographic_first = svd.rank;
  made.dim = svd.rank + demographics.width() + 1;
  made.first = count * ranks.rank() / ranks.world_size();
  made.last = count * (ranks.rank() + 1) / ranks.world_size();
  std::vector<double> block(static_cast<std::size_t>(demographics.width()));
  for (std::int64_t u = made.first; u < made.last; ++u) {
    for (std::int64_t j = 0; j < svd.rank; ++j)
      made.rows.push_back(static_cast<float>(options.interaction_weight * profiles[u * svd.rank + j]));
    demographics.encode(users[u], block);
    for (std::size_t d = 0; d < block.size(); ++d)
      made.rows.push_back(static_cast<float>(made.demographic_scale[d] * block[d]));
    made.rows.push_back(static_cast<float>(activity[u]));
  }
  return made;
}

}  // namespace swallowtail
