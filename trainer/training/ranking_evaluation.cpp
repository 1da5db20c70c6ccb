// Ranks a part of the interactions over all ranks. The users are divided in blocks; the lists are gathered, and every
// metric is computed from all of them on every rank.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <numeric>

#include "kernels/random.h"
#include "kernels/top_k.h"
#include "trainer/ranking/likeness.h"
#include "trainer/training/ranking_session.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kScoreBytes = std::int64_t{64} << 20;  // of one round of score(), a rank
constexpr std::int64_t kMostQueries = 256;
/// Ranks take whole blocks, and a round is a multiple or a half, a quarter, … of one: so the place of a query among
/// those that are scored together, on which the last bits of a matrix product may depend, is the same on any ranks.
constexpr std::int64_t kBlock = 64;
constexpr float kForbidden = -std::numeric_limits<float>::infinity();
constexpr std::int64_t kSparseBelow = 20;  // interactions
constexpr double kHeadShare = 0.8;
constexpr std::array<std::int64_t, 7> kCurveLengths{1, 2, 3, 5, 10, 20, 50};

/// One list that is asked for.
struct Ask {
  RankingQuery query;
  std::span<const std::int64_t> hidden, candidates;  // no candidates: the whole catalogue
};

struct Answers {
  RankedLists lists;
  std::vector<float> scores;        // [asks, k]
  std::vector<char> by_popularity;  // [asks]
};

/// First row of a rank; of the rank behind the last one, the number of rows.
std::int64_t first_row(std::int64_t rows, std::int64_t rank, std::int64_t world) {
  return std::min(rows, (rows + kBlock - 1) / kBlock * rank / world * kBlock);
}

/// Queries of a round: as many as the scores' memory allows.
std::int64_t round_size(std::int64_t items) {
  const std::int64_t most = kScoreBytes / static_cast<std::int64_t>(sizeof(float)) / std::max<std::int64_t>(1, items);
  if (most >= kBlock) return std::min(most, kMostQueries) / kBlock * kBlock;
  return static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(std::max<std::int64_t>(1, most))));
}

template <typename T>
std::vector<T> gather(Communicator& ranks, std::string_view what, const std::vector<T>& mine, std::int64_t rows,
                      std::int64_t width) {
  std::vector<std::int64_t> counts;
  for (int rank = 0; rank < ranks.world_size(); ++rank)
    counts.push_back((first_row(rows, rank + 1, ranks.world_size()) - first_row(rows, rank, ranks.world_size())) *
                     width);
  const auto offsets = byte_offsets(counts, sizeof(T));
  std::vector<T> all(static_cast<std::size_t>(rows * width));
  ranks.all_gather(Tag{what}, std::as_bytes(std::span(mine)), chunks(all, offsets));
  return all;
}

/// The k best of each ask's row of `scores`. A score of -infinity
/// is that of an item that may not be recommended. Errors: numbers where one is NaN.
void best_of(std::span<const Ask> asks, std::span<float> scores, std::int64_t items, std::int64_t k,
             std::span<std::int64_t> lists, std::span<float> list_scores) {
  std::vector<std::int64_t> offsets{0}, hidden;
  for (std::size_t row = 0; row < asks.size(); ++row) {
    float* const own = scores.data() + static_cast<std::int64_t>(row) * items;
    bool has_nan = false;
    for (std::int64_t item = 0; item < items; ++item) has_nan |= own[item] != own[item];
    if (has_nan) {
      const auto* const first = std::find_if(own, own + items, [](float score) { return score != score; });
      throw Error{ExitCode::numbers, "a score is not a number", fmt::format("item {}", first - own),
                  "lower the learning rates"};
    }
    hidden.insert(hidden.end(), asks[row].hidden.begin(), asks[row].hidden.end());
    offsets.push_back(static_cast<std::int64_t>(hidden.size()));
  }
  const auto wanted = static_cast<std::size_t>(static_cast<std::int64_t>(asks.size()) * k);
  top_k({static_cast<std::int64_t>(asks.size()), items, k, {hidden, offsets}, {}}, scores.data(), lists.first(wanted),
        list_scores.first(wanted));
  for (std::size_t place = 0; place < wanted; ++place)
    if (list_scores[place] == kForbidden) {
      lists[place] = -1;
      list_scores[place] = 0;
    }
  for (std::size_t row = 0; row < asks.size(); ++row) {
    if (asks[row].candidates.empty()) continue;
    const auto own = scores.subspan(row * static_cast<std::size_t>(items), static_cast<std::size_t>(items));
    for (const std::int64_t item : asks[row].hidden) own[item] = kForbidden;
    const auto best = top_k(own, asks[row].candidates, k);
    for (std::size_t place = 0; place < static_cast<std::size_t>(k); ++place) {
      const bool is_there = place < best.size();
      lists[row * static_cast<std::size_t>(k) + place] = is_there ? best[place] : -1;
      list_scores[row * static_cast<std::size_t>(k) + place] = is_there ? own[best[place]] : 0;
    }
  }
}

Answers answer(RankingSession& session, std::span<const Ask> asks, std::int64_t wanted) {
  const std::int64_t items = session.data.items.size(), rows = static_cast<std::int64_t>(asks.size());
  const std::int64_t k = std::min(wanted, items), world = session.ranks.world_size(), rank = session.ranks.rank();
  const std::int64_t first = first_row(rows, rank, world), last = first_row(rows, rank + 1, world);
  const std::int64_t round = round_size(items);
  std::int64_t largest = 0;
  for (std::int64_t r = 0; r < world; ++r)
    largest = std::max(largest, first_row(rows, r + 1, world) - first_row(rows, r, world));
  const std::int64_t rounds = (largest + round - 1) / round;
  std::vector<float> popular;
  for (const std::int64_t count : item_counts(session.data.train, items)) popular.push_back(static_cast<float>(count));

  std::vector<std::int64_t> lists(static_cast<std::size_t>((last - first) * k), -1);
  std::vector<float> list_scores(lists.size(), 0.0F), scores;
  std::vector<char> by_popularity(static_cast<std::size_t>(last - first), 0);
  std::vector<RankingQuery> queries;
  for (std::int64_t r = 0; r < rounds; ++r) {
    const std::int64_t begin = std::min(last, first + r * round), end = std::min(last, begin + round);
    queries.clear();
    for (std::int64_t row = begin; row < end; ++row) queries.push_back(asks[row].query);
    scores.resize(static_cast<std::size_t>((end - begin) * items));
    session.model->score(queries, scores);
    for (std::int64_t row = begin; row < end; ++row) {
      if (session.model->knows(asks[row].query)) continue;
      std::ranges::copy(popular, scores.begin() + (row - begin) * items);
      by_popularity[row - first] = 1;
    }
    best_of(asks.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)), scores, items, k,
            std::span(lists).subspan(static_cast<std::size_t>((begin - first) * k)),
            std::span(list_scores).subspan(static_cast<std::size_t>((begin - first) * k)));
  }
  Answers answers;
  answers.lists = {k, gather(session.ranks, "ranked lists", lists, rows, k)};
  answers.scores = gather(session.ranks, "scores of lists", list_scores, rows, k);
  answers.by_popularity = gather(session.ranks, "lists by popularity", by_popularity, rows, 1);
  return answers;
}

/// The relevant items and as many drawn ones as wanted that are in no part of the user, or all there are.
std::vector<std::int64_t> drawn_candidates(const RankingSession& session, std::int64_t user,
                                           std::span<const std::int64_t> relevant) {
  const Interactions& data = session.data;
  std::vector<std::int64_t> taken = joined(user, {&data.train, &data.validation, &data.test});
  std::ranges::sort(taken);
  std::vector<std::int64_t> candidates(relevant.begin(), relevant.end());
  const auto seed = static_cast<std::uint64_t>(session.experiment.integer("seed"));
  const std::int64_t wanted = session.experiment.integer("evaluation.negatives");
  // An order of the whole catalogue by draws: no item twice, and short catalogues end by themselves.
  std::vector<std::pair<std::uint64_t, std::int64_t>> order;
  for (std::int64_t item = 0; item < data.items.size(); ++item)
    if (!std::ranges::binary_search(taken, item))
      order.emplace_back(random::bits(seed, random::purpose("evaluation negatives"), static_cast<std::uint64_t>(user),
                                      static_cast<std::uint64_t>(item)),
                         item);
  const auto kept = std::min(wanted, static_cast<std::int64_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + kept, order.end());
  for (std::int64_t i = 0; i < kept; ++i) candidates.push_back(order[i].second);
  return candidates;
}

/// 1 for the most popular items that together hold the head's share of the training interactions.
std::vector<char> head_items(const std::vector<std::int64_t>& counts) {
  std::vector<std::int64_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::int64_t item) { return counts[item]; });
  const auto all = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  std::vector<char> is_head(counts.size(), 0);
  double held = 0;
  for (const std::int64_t item : order) {
    if (held >= kHeadShare * all) break;
    is_head[item] = 1;
    held += static_cast<double>(counts[item]);
  }
  return is_head;
}

/// Relevant items of the rows, one bag each.
struct Relevant {
  std::vector<std::int64_t> offsets{0}, items;
  void add(std::span<const std::int64_t> bag) {
    items.insert(items.end(), bag.begin(), bag.end());
    offsets.push_back(static_cast<std::int64_t>(items.size()));
  }
};

void measure_slices(const RankingSession& session, const RankingTruth& truth, const Relevant& relevant,
                    RankingResult& result) {
  const Histories& train = session.data.train;
  std::vector<std::int64_t> cold, sparse, dense;
  for (std::size_t row = 0; row < result.users.size(); ++row) {
    const std::int64_t known = train.count(result.users[row]);
    (known == 0 ? cold : known < kSparseBelow ? sparse : dense).push_back(static_cast<std::int64_t>(row));
  }
  for (const auto& [name, rows] : {std::pair("cold users", &cold), {"sparse users", &sparse}, {"dense users", &dense}})
    result.slices.push_back(
        {name, static_cast<std::int64_t>(rows->size()), measure_rankings(result.lists, truth, session.metrics, rows)});
  for (const UserGroup& group : session.model->user_groups()) {
    std::vector<std::int64_t> rows;
    for (const std::int64_t user : group.users) {
      const auto place = std::ranges::lower_bound(result.users, user);
      if (place != result.users.end() && *place == user) rows.push_back(place - result.users.begin());
    }
    result.slices.push_back({group.name, static_cast<std::int64_t>(rows.size()),
                             measure_rankings(result.lists, truth, session.metrics, &rows)});
  }
  const auto is_head = head_items({truth.train_counts.begin(), truth.train_counts.end()});
  for (const bool head : {true, false}) {
    Relevant part;
    std::int64_t users = 0;
    for (std::size_t row = 0; row < result.users.size(); ++row) {
      std::vector<std::int64_t> bag;
      for (std::int64_t i = relevant.offsets[row]; i < relevant.offsets[row + 1]; ++i)
        if ((is_head[relevant.items[i]] != 0) == head) bag.push_back(relevant.items[i]);
      users += bag.empty() ? 0 : 1;
      part.add(bag);
    }
    RankingTruth of_part = truth;
    of_part.relevant = {part.offsets, part.items};
    result.slices.push_back(
        {head ? "head items" : "tail items", users, measure_rankings(result.lists, of_part, session.metrics)});
  }
}

}  // namespace

std::vector<std::int64_t> joined(std::int64_t user, std::initializer_list<const Histories*> parts) {
  std::vector<std::int64_t> items;
  for (const Histories* part : parts) {
    const auto own = part->of(user);
    items.insert(items.end(), own.begin(), own.end());
  }
  return items;
}

RankingResult rank_part(RankingSession& session, RankedPart part, std::int64_t longest) {
  const Interactions& data = session.data;
  const bool is_test = part == RankedPart::test;
  const Histories& wanted = is_test ? data.test : data.validation;
  const bool is_sampled = session.experiment.text("evaluation.protocol") == "sampled";
  const bool sees_validation = is_test && session.experiment.text("evaluation.history") == "train_validation";
  const bool has_file = data.candidates.size() > 0 && is_test;

  RankingResult result;
  Relevant relevant;
  std::vector<std::vector<std::int64_t>> histories, hidden, candidates;
  for (std::int64_t user = 0; user < data.users.size(); ++user) {
    const auto own = wanted.of(user);
    if (own.empty() || (is_sampled && has_file && data.candidates.count(user) == 0)) continue;
    result.users.push_back(user);
    relevant.add(own);
    histories.push_back(sees_validation ? joined(user, {&data.train, &data.validation}) : joined(user, {&data.train}));
    if (is_sampled) {
      hidden.emplace_back();
      const auto file = data.candidates.of(user);
      candidates.push_back(has_file ? std::vector(file.begin(), file.end()) : drawn_candidates(session, user, own));
    } else {
      hidden.push_back(is_test ? joined(user, {&data.train, &data.validation}) : joined(user, {&data.train}));
      candidates.emplace_back();
    }
  }
  std::vector<Ask> asks;
  for (std::size_t row = 0; row < result.users.size(); ++row)
    asks.push_back({{result.users[row], histories[row]}, hidden[row], candidates[row]});
  result.lists = answer(session, asks, std::max(longest, session.longest)).lists;

  const auto counts = item_counts(data.train, data.items.size());
  RankingTruth truth{{relevant.offsets, relevant.items}, counts, 0, {}};
  for (std::int64_t user = 0; user < data.users.size(); ++user) truth.train_users += data.train.count(user) > 0 ? 1 : 0;
  const SideColumn* const alike = likeness_column(session.experiment, data.item_table);
  if (alike != nullptr) truth.properties = {alike->offsets, alike->codes};
  result.metrics = measure_rankings(result.lists, truth, session.metrics);
  if (longest > session.longest) {
    RankingTruth without_properties = truth;
    without_properties.properties = {};
    std::vector<std::string> names;
    for (const std::int64_t length : kCurveLengths)
      for (const char* metric : {"ndcg", "recall", "hit_rate"})
        if (length <= result.lists.k) names.push_back(fmt::format("{}@{}", metric, length));
    result.by_length = measure_rankings(result.lists, without_properties, names);
  }
  if (session.experiment.boolean("evaluation.slices")) measure_slices(session, truth, relevant, result);
  const char* const known = is_test ? "training and validation" : "training";
  result.protocol = is_sampled ? fmt::format("sampled: {}",
                                             has_file ? "data.candidates"
                                                      : fmt::format("the relevant items and {} drawn ones",
                                                                    session.experiment.integer("evaluation.negatives")))
                               : fmt::format("full: {} items without the user's {} items", data.items.size(), known);
  result.protocol += fmt::format("; history: {}", sees_validation ? "training and validation" : "training");
  if (alike != nullptr) result.protocol += fmt::format("; diversity by {}", alike->name);
  return result;
}

std::vector<Recommendation> recommend_items(RankingSession& session, std::span<const RankingQuery> queries,
                                            const std::vector<std::vector<std::int64_t>>& hidden, std::int64_t k) {
  std::vector<Ask> asks;
  for (std::size_t q = 0; q < queries.size(); ++q) asks.push_back({queries[q], hidden[q], {}});
  const Answers answers = answer(session, asks, k);
  std::vector<Recommendation> all;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    const auto list = answers.lists.of(static_cast<std::int64_t>(q));
    const auto scores = answers.scores.begin() + static_cast<std::ptrdiff_t>(q) * answers.lists.k;
    all.push_back({{list.begin(), list.end()},
                   {scores, scores + static_cast<std::ptrdiff_t>(list.size())},
                   answers.by_popularity[q] != 0});
  }
  return all;
}

}  // namespace swallowtail
