#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "kernels/random.h"
#include "trainer/evaluation/bootstrap.h"
#include "trainer/files/durable_file.h"
#include "trainer/training/ranking_run.h"
#include "trainer/training/run_files.h"
#include "trainer/training/sap_studies.h"
#include "trainer/training/sap_workshop.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

/// Everything that a user took, oldest first.
std::vector<std::int64_t> all_items(const Interactions& data, std::int64_t user) {
  std::vector<std::int64_t> items;
  for (const Histories* part : {&data.train, &data.validation, &data.test})
    items.insert(items.end(), part->of(user).begin(), part->of(user).end());
  return items;
}

/// Users of a fold are gone; of the others, the last interaction is validation and the rest training.
Interactions without_users(const Interactions& data, const std::vector<char>& is_held_out, std::int64_t fold) {
  Interactions rest = data;
  rest.train = rest.validation = rest.test = rest.candidates = Histories{};
  for (std::int64_t user = 0; user < data.users.size(); ++user) {
    Histories all;
    if (is_held_out[user] == 0)
      for (const Histories* part : {&data.train, &data.validation, &data.test}) {
        const std::int64_t first = part->offsets[user], last = part->offsets[user + 1];
        all.items.insert(all.items.end(), part->items.begin() + first, part->items.begin() + last);
        all.ratings.insert(all.ratings.end(), part->ratings.begin() + first, part->ratings.begin() + last);
        all.times.insert(all.times.end(), part->times.begin() + first, part->times.begin() + last);
      }
    const auto give = [&](Histories& to, std::size_t first, std::size_t last) {
      for (std::size_t i = first; i < last; ++i) {
        to.items.push_back(all.items[i]);
        to.ratings.push_back(all.ratings[i]);
        to.times.push_back(all.times[i]);
      }
      to.offsets.push_back(to.size());
    };
    const std::size_t size = all.items.size(), kept = size < 3 ? size : size - 1;
    give(rest.train, 0, kept);
    give(rest.validation, kept, size);
    rest.test.offsets.push_back(0);
    rest.candidates.offsets.push_back(0);
  }
  rest.fingerprint += fmt::format(", without the users of fold {}", fold);
  return rest;
}

}  // namespace

json measure_cold_users(const Experiment& asked, const ColdUsersRequest& request, Communicator& ranks) {
  const Experiment experiment = with_components(asked);
  const fs::path folder = run_folder(asked);
  const auto directory =
      open_run(folder, experiment, {.force = request.force, .quiet = request.quiet, .command = "cold-users"}, ranks);
  const Interactions data = open_interactions(asked, folder, ranks);
  const std::int64_t users = data.users.size(), k = experiment.integers("evaluation.k").front();
  const auto seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  std::vector<std::int64_t> order(static_cast<std::size_t>(users));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(order, {}, [&](std::int64_t user) {
    return random::bits(seed, random::purpose("folds of cold users"), static_cast<std::uint64_t>(user));
  });

  struct Figures {
    std::vector<double> model, popularity;
  };
  std::vector<Figures> of_known(request.known.size());
  for (std::int64_t fold = 0; fold < request.folds; ++fold) {
    std::vector<char> is_held_out(static_cast<std::size_t>(users), 0);
    for (std::size_t i = static_cast<std::size_t>(fold); i < order.size(); i += static_cast<std::size_t>(request.folds))
      is_held_out[order[i]] = 1;
    const fs::path place = folder / fmt::format("fold-{}", fold);
    const Experiment own = Experiment::parse(experiment.to_yaml(), {"run.dir=" + json(place.string()).dump()});
    const auto run = train_ranking_run(own, place, {.force = true, .quiet = request.quiet, .command = "cold-users"},
                                       ranks, [&] { return without_users(data, is_held_out, fold); });
    RankingSession& session = *run.session;
    const auto counts = item_counts(session.data.train, data.items.size());
    for (std::size_t h = 0; h < request.known.size(); ++h) {
      std::vector<std::vector<std::int64_t>> histories, wanted;
      std::vector<RankingQuery> queries;
      for (std::int64_t user = 0; user < users; ++user) {
        auto items = all_items(data, user);
        if (is_held_out[user] == 0 || static_cast<std::int64_t>(items.size()) <= request.known[h]) continue;
        histories.emplace_back(items.begin(), items.begin() + request.known[h]);
        std::vector<std::int64_t> rest(items.begin() + request.known[h], items.end());
        std::ranges::sort(rest);
        rest.erase(std::unique(rest.begin(), rest.end()), rest.end());
        wanted.push_back(std::move(rest));
        queries.push_back({user, {}});
      }
      for (std::size_t q = 0; q < queries.size(); ++q) queries[q].history = histories[q];
      const auto lists = recommend_items(session, queries, histories, k);
      for (std::size_t q = 0; q < queries.size(); ++q) {
        std::vector<float> popular(counts.begin(), counts.end());
        for (const std::int64_t item : histories[q]) popular[item] = -std::numeric_limits<float>::infinity();
        of_known[h].model.push_back(user_metrics(lists[q].items, wanted[q], k).ndcg);
        of_known[h].popularity.push_back(user_metrics(top_k(popular, k), wanted[q], k).ndcg);
      }
    }
  }
  json results = json::array();
  for (std::size_t h = 0; h < request.known.size(); ++h) {
    const auto& [model, popularity] = of_known[h];
    if (model.empty()) continue;
    const Comparison against = compare_means(popularity, model, {});
    results.push_back(
        {{"known", request.known[h]},
         {"users", model.size()},
         {"ndcg", {{"model", bootstrap_mean(model, {}).value}, {"popularity", bootstrap_mean(popularity, {}).value}}},
         {"difference", against.difference.value},
         {"low", against.difference.low},
         {"high", against.difference.high},
         {"p", against.p}});
  }
  json answer = {{"folds", request.folds}, {"k", k}, {"results", results}};
  if (ranks.rank() == 0) write_atomically(folder / "cold_users.json", answer.dump(2) + "\n");
  ranks.barrier(Tag{"cold users"});
  return answer;
}

}  // namespace swallowtail
