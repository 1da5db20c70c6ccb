#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "parallel/error.h"
#include "trainer/evaluation/compensated_sum.h"
#include "trainer/evaluation/ranked_lists.h"

namespace swallowtail {
namespace {

constexpr std::array<std::string_view, 11> kNames{"ndcg", "hit_rate", "precision", "recall",  "f1",  "map",
                                                  "mrr",  "coverage", "diversity", "novelty", "gini"};

struct Wanted {
  std::string name;
  std::int64_t k;
};

std::optional<Wanted> parse(std::string_view text) {
  const auto at = text.find('@');
  if (at == std::string_view::npos) return {};
  Wanted wanted{std::string(text.substr(0, at)), 0};
  const std::string_view digits = text.substr(at + 1);
  const auto [stop, status] = std::from_chars(digits.data(), digits.data() + digits.size(), wanted.k);
  if (status != std::errc{} || stop != digits.data() + digits.size() || wanted.k < 1) return {};
  return wanted;
}

std::vector<std::int64_t> distinct(std::span<const std::int64_t> items) {
  std::vector<std::int64_t> sorted(items.begin(), items.end());
  std::ranges::sort(sorted);
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

/// 1 - cosine of the sets of categories.
double distance(std::span<const std::int64_t> a, std::span<const std::int64_t> b) {
  if (a.empty() || b.empty()) return 1;
  std::int64_t shared = 0;
  for (const std::int64_t category : a) shared += std::ranges::count(b, category);
  return 1 - static_cast<double>(shared) / std::sqrt(static_cast<double>(a.size() * b.size()));
}

/// Everything of the rows at one K, each computed once.
std::map<std::string, MetricValue, std::less<>> measure_at(const RankedLists& lists, const RankingTruth& truth,
                                                           std::span<const std::int64_t> rows, std::int64_t k,
                                                           bool with_diversity) {
  const auto catalogue = static_cast<std::int64_t>(truth.train_counts.size());
  CompensatedSum precision, recall, f1, map, ndcg, mrr, hit_rate, diversity, novelty;
  std::vector<std::int64_t> recommended(static_cast<std::size_t>(catalogue), 0);
  std::int64_t users = 0, diverse_users = 0, recommendations = 0;
  for (const std::int64_t row : rows) {
    const auto relevant = distinct(truth.relevant.of(row));
    if (relevant.empty()) continue;
    ++users;
    auto list = lists.of(row);
    list = list.first(std::min(list.size(), static_cast<std::size_t>(k)));
    const UserMetrics user = user_metrics(list, relevant, k);
    precision.add(user.precision);
    recall.add(user.recall);
    f1.add(user.f1);
    map.add(user.map);
    ndcg.add(user.ndcg);
    mrr.add(user.mrr);
    hit_rate.add(user.hit_rate);
    for (const std::int64_t item : list) {
      ++recommended[item];
      ++recommendations;
      novelty.add(
          -std::log2(static_cast<double>(truth.train_counts[item] + 1) / static_cast<double>(truth.train_users + 1)));
    }
    if (!with_diversity || list.size() < 2) continue;
    CompensatedSum pairs;
    for (std::size_t a = 0; a < list.size(); ++a)
      for (std::size_t b = a + 1; b < list.size(); ++b)
        pairs.add(distance(truth.properties.of(list[a]), truth.properties.of(list[b])));
    diversity.add(pairs.value() / (static_cast<double>(list.size() * (list.size() - 1)) / 2));
    ++diverse_users;
  }
  const auto mean = [](const CompensatedSum& sum, std::int64_t count) -> MetricValue {
    if (count == 0) return {};
    return sum.value() / static_cast<double>(count);
  };
  std::map<std::string, MetricValue, std::less<>> values{{"precision", mean(precision, users)},
                                                         {"recall", mean(recall, users)},
                                                         {"f1", mean(f1, users)},
                                                         {"map", mean(map, users)},
                                                         {"ndcg", mean(ndcg, users)},
                                                         {"mrr", mean(mrr, users)},
                                                         {"hit_rate", mean(hit_rate, users)},
                                                         {"diversity", mean(diversity, diverse_users)},
                                                         {"novelty", mean(novelty, recommendations)}};
  if (users == 0 || catalogue == 0) return values;
  values["coverage"] =
      static_cast<double>(catalogue - std::ranges::count(recommended, 0)) / static_cast<double>(catalogue);
  if (recommendations == 0) return values;
  std::ranges::sort(recommended);
  double weighted = 0;  // whole numbers, exact up to 2^53
  for (std::int64_t i = 0; i < catalogue; ++i)
    weighted += static_cast<double>((2 * (i + 1) - catalogue - 1) * recommended[i]);
  values["gini"] = weighted / (static_cast<double>(catalogue) * static_cast<double>(recommendations));
  return values;
}

}  // namespace

UserMetrics user_metrics(std::span<const std::int64_t> list, std::span<const std::int64_t> relevant, std::int64_t k) {
  UserMetrics user;
  std::int64_t hits = 0;
  double gain = 0, precision_sum = 0, best_gain = 0;
  const auto length = std::min(static_cast<std::int64_t>(list.size()), k);
  for (std::int64_t rank = 1; rank <= length; ++rank) {
    if (std::ranges::find(relevant, list[static_cast<std::size_t>(rank - 1)]) == relevant.end()) continue;
    ++hits;
    if (hits == 1) user.mrr = 1.0 / static_cast<double>(rank);
    gain += 1.0 / std::log2(static_cast<double>(rank + 1));
    precision_sum += static_cast<double>(hits) / static_cast<double>(rank);
  }
  const auto possible = std::min(static_cast<std::int64_t>(relevant.size()), k);
  for (std::int64_t rank = 1; rank <= possible; ++rank) best_gain += 1.0 / std::log2(static_cast<double>(rank + 1));
  user.precision = static_cast<double>(hits) / static_cast<double>(k);
  user.recall = static_cast<double>(hits) / static_cast<double>(relevant.size());
  if (hits > 0) user.f1 = 2 * user.precision * user.recall / (user.precision + user.recall);
  user.map = precision_sum / static_cast<double>(possible);
  user.ndcg = gain / best_gain;
  user.hit_rate = hits > 0 ? 1 : 0;
  return user;
}

std::span<const std::string_view> ranking_metrics() { return kNames; }

std::vector<std::string> expand_ranking_metrics(std::span<const std::string> names, std::span<const std::int64_t> ks) {
  std::vector<std::string> expanded;
  for (const std::string& name : names) {
    const auto wanted = parse(name);
    const std::string base = name.substr(0, name.find('@'));
    if (std::ranges::find(kNames, base) == kNames.end() || (name.find('@') != std::string::npos && !wanted)) {
      std::string known;
      for (const auto one : kNames) known += (known.empty() ? "" : ", ") + std::string(one);
      throw Error{ExitCode::usage,
                  "unknown ranking metric '" + name + "'",
                  {},
                  "known are " + known + ", alone or with @K, such as ndcg@10"};
    }
    if (wanted)
      expanded.push_back(name);
    else
      for (const std::int64_t k : ks) expanded.push_back(name + "@" + std::to_string(k));
  }
  return expanded;
}

std::vector<std::pair<std::string, MetricValue>> measure_rankings(const RankedLists& lists, const RankingTruth& truth,
                                                                  std::span<const std::string> names,
                                                                  const std::vector<std::int64_t>* rows) {
  std::vector<std::int64_t> all;
  if (rows == nullptr) {
    for (std::int64_t row = 0; row + 1 < static_cast<std::int64_t>(truth.relevant.offsets.size()); ++row)
      all.push_back(row);
    rows = &all;
  }
  std::map<std::int64_t, std::map<std::string, MetricValue, std::less<>>> at;
  std::vector<std::pair<std::string, MetricValue>> values;
  for (const std::string& name : names) {
    const auto wanted = parse(name);
    if (!wanted) throw Error{ExitCode::usage, "a ranking metric without @K: '" + name + "'"};
    if (!at.contains(wanted->k))
      at[wanted->k] = measure_at(lists, truth, *rows, wanted->k, !truth.properties.offsets.empty());
    const auto found = at[wanted->k].find(wanted->name);
    values.emplace_back(name, found == at[wanted->k].end() ? MetricValue{} : found->second);
  }
  return values;
}

}  // namespace swallowtail
