#include "trainer/training/recommendation_examples.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "trainer/ranking/composed_ranker.h"

namespace swallowtail {
namespace {

using nlohmann::json;

constexpr std::size_t kMostExamples = 3, kLastItems = 5;
constexpr std::int64_t kItems = 5;

struct Example {
  std::int64_t user;
  std::string group;
};

/// The user in the middle of each group: neither the first nor the last id, and the same one every time.
std::vector<Example> chosen_users(const RankingSession& session) {
  std::vector<Example> chosen;
  for (const UserGroup& group : session.model->user_groups())
    if (!group.users.empty() && chosen.size() < kMostExamples)
      chosen.push_back({group.users[group.users.size() / 2], group.name});
  if (!chosen.empty()) return chosen;
  std::vector<std::int64_t> known;
  for (std::int64_t user = 0; user < session.data.users.size(); ++user)
    if (session.data.train.count(user) > 0) known.push_back(user);
  for (std::size_t i = 0; i < kMostExamples && i < known.size(); ++i)
    chosen.push_back({known[known.size() * (2 * i + 1) / (2 * kMostExamples)], {}});
  return chosen;
}

}  // namespace

json recommendation_examples(RankingSession& session) {
  const Interactions& data = session.data;
  const auto* const composed = dynamic_cast<const ComposedRanker*>(session.model.get());
  const std::vector<Example> chosen = chosen_users(session);
  std::vector<std::vector<std::int64_t>> histories;
  std::vector<RankingQuery> queries;
  for (const Example& example : chosen) {
    histories.push_back(joined(example.user, {&data.train, &data.validation}));
    queries.push_back({example.user, {}});
  }
  for (std::size_t q = 0; q < queries.size(); ++q) queries[q].history = histories[q];
  const auto answers = recommend_items(session, queries, histories, kItems);
  json examples = json::array();
  for (std::size_t q = 0; q < queries.size(); ++q) {
    json last = json::array(), items = json::array();
    for (const std::int64_t item : queries[q].history.last(std::min(kLastItems, queries[q].history.size())))
      last.push_back(data.items.name(item));
    for (std::size_t place = 0; place < answers[q].items.size(); ++place) {
      const std::int64_t item = answers[q].items[place];
      json shares = json::object(), because = json::array();
      if (composed != nullptr)
        for (const auto& [component, share] : composed->shares(queries[q], item)) shares[component] = share;
      if (!answers[q].by_popularity)
        for (const Ranker::Reason& reason : session.model->reasons(queries[q], item))
          because.push_back(data.items.name(reason.item));
      items.push_back({{"item", data.items.name(item)},
                       {"score", answers[q].scores[place]},
                       {"shares", shares},
                       {"because", because}});
    }
    examples.push_back({{"user", data.users.name(queries[q].user)},
                        {"stratum", chosen[q].group},
                        {"history", last},
                        {"items", items}});
  }
  return examples;
}

}  // namespace swallowtail
