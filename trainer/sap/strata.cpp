#include "trainer/sap/strata.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/random.h"
#include "trainer/sap/jacobi.h"
#include "trainer/sap/k_means.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kSample = 2000;  // users of the silhouette and of the plot

std::vector<std::int64_t> sample_of(const std::vector<std::int64_t>& users, std::uint64_t seed) {
  if (static_cast<std::int64_t>(users.size()) <= kSample) return users;
  std::vector<std::pair<std::uint64_t, std::int64_t>> order;
  for (const std::int64_t user : users)
    order.emplace_back(random::bits(seed, random::purpose("sample of users"), static_cast<std::uint64_t>(user)), user);
  std::ranges::nth_element(order, order.begin() + kSample);
  std::vector<std::int64_t> sample;
  for (std::int64_t i = 0; i < kSample; ++i) sample.push_back(order[i].second);
  std::ranges::sort(sample);
  return sample;
}

std::int64_t capacity_of(const StrataOptions& options) {
  return std::max(options.count.value_or(options.most), std::int64_t{1});
}

/// Rows of `vectors` that belong to the users of `sample`, on every rank, in the sample's order.
std::vector<float> gather_sample(const UserVectors& vectors, const std::vector<std::int64_t>& users,
                                 const std::vector<std::int64_t>& sample, Communicator& ranks) {
  std::vector<float> rows(sample.size() * static_cast<std::size_t>(vectors.dim), 0.0F);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const std::int64_t place = std::ranges::lower_bound(users, sample[i]) - users.begin();
    if (place >= vectors.first && place < vectors.last)
      std::copy_n(vectors.rows.begin() + (place - vectors.first) * vectors.dim, vectors.dim,
                  rows.begin() + static_cast<std::ptrdiff_t>(i) * vectors.dim);
  }
  ranks.all_reduce_sum(Tag{"sample of user vectors"}, std::span(rows));  // one rank's value beside zeros: a copy
  return rows;
}

/// Labels of the sample, from those of all users.
std::vector<std::int64_t> labels_of(const std::vector<std::int64_t>& labels, const std::vector<std::int64_t>& users,
                                    const std::vector<std::int64_t>& sample) {
  std::vector<std::int64_t> picked;
  for (const std::int64_t user : sample)
    picked.push_back(labels[static_cast<std::size_t>(std::ranges::lower_bound(users, user) - users.begin())]);
  return picked;
}

std::vector<std::int64_t> gather_labels(const Clustering& made, const UserVectors& vectors, std::int64_t all,
                                        Communicator& ranks) {
  std::vector<std::int64_t> labels(static_cast<std::size_t>(all), 0);
  std::ranges::copy(made.of_point, labels.begin() + vectors.first);
  ranks.all_reduce_sum(Tag{"strata of users"}, std::span(labels));
  return labels;
}

/// Clusters that are too small join the nearest, the smallest first; those that remain are sorted by size, then centre.
void merge_and_sort(Clustering& made, std::vector<std::int64_t>& labels, std::int64_t dim, std::int64_t smallest) {
  std::vector<std::int64_t> now(static_cast<std::size_t>(made.count));  // cluster -> the one that it joined
  std::iota(now.begin(), now.end(), std::int64_t{0});
  std::vector<std::int64_t> alive = now;
  const auto center = [&](std::int64_t c) { return made.centroids.begin() + c * dim; };
  while (alive.size() > 1) {
    const std::int64_t small = *std::ranges::min_element(alive, {}, [&](std::int64_t c) { return made.sizes[c]; });
    if (made.sizes[small] >= smallest) break;
    std::int64_t nearest = -1;
    double least = 0;
    for (const std::int64_t other : alive) {
      if (other == small) continue;
      double squared = 0;
      for (std::int64_t d = 0; d < dim; ++d) {
        const double apart = static_cast<double>(center(small)[d]) - center(other)[d];
        squared += apart * apart;
      }
      if (nearest >= 0 && squared >= least) continue;
      nearest = other;
      least = squared;
    }
    const auto a = static_cast<double>(made.sizes[small]), b = static_cast<double>(made.sizes[nearest]);
    for (std::int64_t d = 0; d < dim; ++d)
      center(nearest)[d] = static_cast<float>((a * center(small)[d] + b * center(nearest)[d]) / (a + b));
    made.sizes[nearest] += made.sizes[small];
    for (std::int64_t& joined : now)
      if (joined == small) joined = nearest;
    std::erase(alive, small);
  }
  std::ranges::sort(alive, [&](std::int64_t a, std::int64_t b) {
    if (made.sizes[a] != made.sizes[b]) return made.sizes[a] > made.sizes[b];
    return std::lexicographical_compare(center(a), center(a) + dim, center(b), center(b) + dim);
  });
  Clustering sorted;
  sorted.inertia = made.inertia;
  sorted.count = static_cast<std::int64_t>(alive.size());
  for (const std::int64_t c : alive) {
    sorted.sizes.push_back(made.sizes[c]);
    sorted.centroids.insert(sorted.centroids.end(), center(c), center(c) + dim);
  }
  for (std::int64_t& label : labels) label = std::ranges::find(alive, now[label]) - alive.begin();
  made = std::move(sorted);
}

/// The points on their first two principal axes; the largest entry of each axis is above 0.
std::vector<float> principal_plane(const std::vector<float>& points, std::int64_t dim) {
  const auto count = static_cast<std::int64_t>(points.size()) / dim;
  std::vector<double> mean(static_cast<std::size_t>(dim), 0.0), covariance(static_cast<std::size_t>(dim * dim), 0.0);
  for (std::int64_t n = 0; n < count; ++n)
    for (std::int64_t d = 0; d < dim; ++d) mean[d] += points[n * dim + d] / static_cast<double>(count);
  for (std::int64_t n = 0; n < count; ++n)
    for (std::int64_t i = 0; i < dim; ++i)
      for (std::int64_t j = 0; j < dim; ++j)
        covariance[i * dim + j] += (points[n * dim + i] - mean[i]) * (points[n * dim + j] - mean[j]);
  const Eigen eigen = symmetric_eigen(covariance, dim);
  std::vector<float> plane;
  double sign[2] = {1, 1};
  for (std::int64_t axis = 0; axis < std::min<std::int64_t>(2, dim); ++axis) {
    double largest = 0;
    for (std::int64_t d = 0; d < dim; ++d)
      if (std::abs(eigen.vectors[d * dim + axis]) > std::abs(largest)) largest = eigen.vectors[d * dim + axis];
    sign[axis] = largest < 0 ? -1 : 1;
  }
  for (std::int64_t n = 0; n < count; ++n)
    for (std::int64_t axis = 0; axis < 2; ++axis) {
      double along = 0;
      for (std::int64_t d = 0; d < dim && axis < dim; ++d)
        along += sign[axis] * (points[n * dim + d] - mean[d]) * eigen.vectors[d * dim + axis];
      plane.push_back(static_cast<float>(along));
    }
  return plane;
}

}  // namespace

StrataOptions strata_options(const Experiment& experiment) {
  StrataOptions options;
  if (experiment.has("sap.strata.count")) options.count = experiment.integer("sap.strata.count");
  options.most = experiment.integer("sap.strata.most");
  options.restarts = experiment.integer("sap.strata.restarts");
  options.iterations = experiment.integer("sap.strata.iterations");
  options.seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  const auto weights = experiment.numbers("sap.strata.weights");
  options.vectors = {experiment.integer("sap.strata.rank"), weights[0], weights[1], weights[2], options.seed};
  options.cold_below = experiment.integer("sap.strata.cold_below");
  options.smallest = experiment.integer("sap.strata.smallest");
  return options;
}

Strata::Strata(const Interactions& data, const StrataOptions& options)
    : numbers(1, 0), of_user(static_cast<std::size_t>(data.users.size()), kColdStratum), quality(2, 0.0F) {
  for (std::int64_t user = 0; user < data.users.size(); ++user)
    if (data.train.count(user) >= std::max<std::int64_t>(1, options.cold_below)) clustered.push_back(user);
  demographics = Demographics(data.user_table, clustered);
  demographic_scale.assign(static_cast<std::size_t>(demographics.width()), 0.0F);
  dim = user_vector_dim(data, options.vectors, demographics);
  demographic_first = dim - 1 - demographics.width();
  centroids.assign(static_cast<std::size_t>(capacity_of(options) * dim), 0.0F);
  plane_users = sample_of(clustered, options.seed);
  plane.assign(plane_users.size() * 2, 0.0F);
}

std::int32_t Strata::place_by_demographics(std::int64_t user) const {
  if (!demographics.knows(user)) return 0;
  std::vector<double> block(static_cast<std::size_t>(demographics.width()));
  demographics.encode(user, block);
  std::int32_t nearest = 0;
  double least = 0;
  for (std::int64_t stratum = 0; stratum < count(); ++stratum) {
    const float* const center = centroids.data() + stratum * dim + demographic_first;
    double squared = 0;
    for (std::size_t d = 0; d < block.size(); ++d) {
      const double apart = demographic_scale[d] * block[d] - center[d];
      squared += apart * apart;
    }
    if (stratum > 0 && squared >= least) continue;
    nearest = static_cast<std::int32_t>(stratum);
    least = squared;
  }
  return nearest;
}

StratumFacts Strata::facts(std::int32_t stratum, const Histories& train) const {
  StratumFacts known;
  std::vector<std::int64_t> touched;
  for (std::size_t user = 0; user < of_user.size(); ++user)
    if (of_user[user] == stratum) touched.push_back(train.count(static_cast<std::int64_t>(user)));
  known.users = static_cast<std::int64_t>(touched.size());
  known.interactions = std::accumulate(touched.begin(), touched.end(), std::int64_t{0});
  if (touched.empty()) return known;
  std::ranges::sort(touched);
  const std::size_t half = touched.size() / 2;
  known.median_interactions = touched.size() % 2 == 1 ? static_cast<double>(touched[half])
                                                      : static_cast<double>(touched[half - 1] + touched[half]) / 2;
  return known;
}

std::string Strata::name(std::int32_t stratum) {
  return stratum == kColdStratum ? "cold stratum" : fmt::format("stratum {}", stratum + 1);
}

std::vector<UserGroup> Strata::groups() const {
  std::vector<UserGroup> all;
  for (std::int32_t stratum = 0; stratum < count(); ++stratum) all.push_back({name(stratum), {}});
  UserGroup cold{name(kColdStratum), {}};
  for (std::size_t user = 0; user < of_user.size(); ++user)
    (of_user[user] == kColdStratum ? cold : all[of_user[user]]).users.push_back(static_cast<std::int64_t>(user));
  if (!cold.users.empty()) all.push_back(std::move(cold));
  return all;
}

std::vector<RankerState> Strata::state() {
  const auto users = static_cast<std::int64_t>(of_user.size()),
             capacity = static_cast<std::int64_t>(centroids.size()) / dim;
  return {ranker_state("sap/strata/count", {1}, numbers),
          ranker_state("sap/strata/of_user", {users}, of_user),
          ranker_state("sap/strata/centroids", {capacity, dim}, centroids),
          ranker_state("sap/strata/demographic_scale", {static_cast<std::int64_t>(demographic_scale.size())},
                       demographic_scale),
          ranker_state("sap/strata/plane", {static_cast<std::int64_t>(plane_users.size()), 2}, plane),
          ranker_state("sap/strata/quality", {2}, quality)};
}

Strata fit_strata(const Interactions& data, const StrataOptions& options, Communicator& ranks) {
  Strata strata(data, options);
  const std::vector<std::int64_t>& users = strata.clustered;
  const auto all = static_cast<std::int64_t>(users.size());
  if (all == 0) {
    strata.notes.push_back(fmt::format("no user has {} interactions: all are cold", options.cold_below));
    return strata;
  }
  const UserVectors vectors = user_vectors(data, users, strata.demographics, options.vectors, ranks);
  strata.demographic_scale = vectors.demographic_scale;
  const PointBlock points{vectors.rows, vectors.dim, vectors.first, vectors.last, all};
  const auto cluster = [&](std::int64_t count) {
    return k_means(
        points, {.count = count, .restarts = options.restarts, .iterations = options.iterations, .seed = options.seed},
        ranks);
  };
  const std::vector<float> sample = gather_sample(vectors, users, strata.plane_users, ranks);
  Silhouette silhouette(sample, vectors.dim, ranks);
  Clustering best;
  std::vector<std::int64_t> labels;
  const std::int64_t first = options.count.value_or(2), last = options.count.value_or(options.most);
  for (std::int64_t count = std::min(first, all); count <= std::min(last, all); ++count) {
    Clustering made = cluster(count);
    auto of_made = gather_labels(made, vectors, all, ranks);
    const double width = silhouette.mean(labels_of(of_made, users, strata.plane_users), made.count);
    if (best.count > 0 && width <= strata.quality[0]) continue;
    best = std::move(made);
    labels = std::move(of_made);
    strata.quality[0] = static_cast<float>(width);
  }
  if (best.count == 0 || (!options.count && strata.quality[0] < options.least_silhouette)) {
    best = cluster(1);
    labels = gather_labels(best, vectors, all, ranks);
    strata.notes.emplace_back("users cannot be told apart: there is one stratum");
  } else if (best.count < std::min(first, all)) {
    strata.notes.push_back(fmt::format("there are only {} different users", best.count));
  }
  const std::int64_t tenth = std::max<std::int64_t>(1, all / 10);
  const auto share = static_cast<std::int64_t>(std::ceil(options.smallest_share * static_cast<double>(all)));
  const std::int64_t before = best.count;
  merge_and_sort(best, labels, vectors.dim, std::max(std::min(options.smallest, tenth), share));
  if (best.count < before)
    strata.notes.push_back(fmt::format("{} strata were too small and joined others", before - best.count));

  strata.numbers[0] = best.count;
  strata.quality[1] = static_cast<float>(best.inertia);
  std::ranges::copy(best.centroids, strata.centroids.begin());
  for (std::int64_t u = 0; u < all; ++u) strata.of_user[users[u]] = labels[u];
  strata.plane = principal_plane(sample, vectors.dim);
  return strata;
}

}  // namespace swallowtail
