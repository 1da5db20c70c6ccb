#include "trainer/sap/sap.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "kernels/random.h"
#include "trainer/config/settings.h"
#include "trainer/ranking/likeness.h"
#include "trainer/sap/calibration.h"
#include "trainer/sap/graph_rerank.h"
#include "trainer/sap/methods.h"
#include "trainer/sap/product_layer.h"
#include "trainer/sap/secondary_order.h"
#include "trainer/sap/strata_facts.h"
#include "trainer/sap/text/item_text.h"
#include "trainer/sap/weight_search.h"

namespace swallowtail {
namespace {

using nlohmann::json;

/// At most `most` users by a draw from counters, rising; all where there are no more.
std::vector<std::int64_t> drawn_users(std::vector<std::int64_t> users, std::int64_t most, std::uint64_t seed) {
  if (static_cast<std::int64_t>(users.size()) <= most) return users;
  std::ranges::stable_sort(users, {}, [&](std::int64_t user) {
    return random::bits(seed, random::purpose("users of heads"), static_cast<std::uint64_t>(user));
  });
  users.resize(static_cast<std::size_t>(most));
  std::ranges::sort(users);
  return users;
}

class Sap final : public ComposedRanker {
 public:
  Sap(const RankerInput& input, std::unique_ptr<SapWorkshop> workshop)
      : input_(input),
        data_(input.data),
        options_(sap_options(input.experiment)),
        workshop_(std::move(workshop)),
        sources_(mask_of(workshop_->components(), options_.sources, input.experiment, "sap.pool.sources")),
        strata_(data_, options_.strata),
        capacity_(strata_capacity(strata_)),
        product_(component_names(), capacity_, data_, options_.product, options_.seed),
        text_(has_text() ? static_cast<std::size_t>(data_.items.size() * cbow_options(input.experiment).dim) : 0, 0.0F),
        graph_(options_.graph, data_.items.size()),
        order_(input.experiment, data_, likeness_column(input.experiment, data_.item_table), options_.reorder) {}

  void fit() override {
    Communicator& ranks = input_.ranks;

    // Strata of users, from training interactions and what is known of them.
    stage(
        "strata", {"sap.strata"}, [&] { return strata_.state(); },
        [&] {
          if (options_.strata_enabled) strata_ = fit_strata(data_, options_.strata, ranks);
          return json::object();
        });
    place_strata();

    // What the items' texts have in common.
    stage(
        "text", {"sap.graph", "model.text"}, [&] { return text_state(); },
        [&] {
          if (!text_.empty())
            std::ranges::copy(item_text_vectors(data_, input_.experiment, ranks).values, text_.begin());
          return json::object();
        });
    draw_graph();

    // Components, each trained once on all users: without the last interaction of each, which is what the heads learn
    // from, then on everything.
    const Interactions learning = without_meta(data_);
    std::vector<SapComponent> learners;
    for (const auto& order : workshop_->components())
      learners.push_back(workshop_->make(order.name, SapFold::without_meta));

    // The intermediate pool: what the components propose, scored by all of them.
    product_.gates.allow(methods_of(workshop_->components(), strata_, data_.train, options_, input_.experiment));
    PooledRows meta = pools_of(learners, learning.train, learning.validation);
    components_.clear();
    for (const auto& learner : learners)
      components_.push_back(options_.refits ? workshop_->make(learner.name, SapFold::whole) : learner);
    const auto judging = [&] {
      PooledRows validation = pools_of(components_, data_.train, data_.validation);
      return validation.all > 0 ? std::move(validation) : meta;
    };
    PooledRows judge = judging();
    measure_alone(judge);

    // Components that do not help go, from the pool as well.
    const auto weighing = [&] { return product_.state(); };
    const std::uint64_t before = product_.gates.mask_of_strata();
    stage("select", {"sap.pool", "sap.product", "sap.method", "sap.refit"}, weighing,
          [&] { return select(meta, judge); });
    if (product_.gates.mask_of_strata() != before) {
      meta = pools_of(learners, learning.train, learning.validation);
      judge = judging();
    }
    learners.clear();
    take_census(judge);

    // The product layer: how much each component counts, how far a stratum's weights leave those of all users, then
    // what the components' products add.
    stage("product", {"sap.product"}, weighing, [&] {
      if (options_.product.equal_weights)
        product_.gates.set_equal();
      else
        product_.gates.search(meta, options_.k, ranks);
      json facts = product_.train_by_prior(priors(), interactions_, meta, judge, options_.k, ranks);
      product_.gates.set_new(cold_order(workshop_->components(), options_));
      return facts;
    });

    // The item graph re-ranks the pool.
    stage(
        "graph", {"sap.graph"}, [&] { return graph_.state(); },
        [&] {
          if (!options_.graph.enabled) return json::object();
          return graph_.train(meta, judge, scorer(&Sap::by_product), options_.k, options_.seed, ranks);
        });

    // Re-ordering for diversity and novelty, as far as validation allows.
    stage(
        "reorder", {"sap.reorder"}, [&] { return order_.state(); },
        [&] { return order_.choose(judge, scorer(&Sap::by_heads), options_.k, reorder_floor(), ranks); });

    // From scores to chances.
    stage(
        "calibration", {"sap.calibration"}, [&] { return calibration_.state(); },
        [&] { return options_.calibrates ? calibration_.fit(judge, scorer(&Sap::by_heads), ranks) : json::object(); });
    facts_["stages"]["figures"] = stage_figures(judge);
    facts_["strata"] =
        strata_facts(strata_, data_, gates_in_words(), likeness_column(input_.experiment, data_.item_table));
    workshop_->save_stage("facts", digest_of_all(), {}, facts_);
  }

  void prepare_scores() override {
    place_strata();
    if (!components_.empty()) return;
    json facts;  // of a run that is finished: for --resume
    if (workshop_->restore_stage("facts", digest_of_all(), {}, facts)) facts_ = std::move(facts);
    draw_graph();
    for (const auto& order : workshop_->components())
      components_.push_back(workshop_->open(order.name, options_.refits ? SapFold::whole : SapFold::without_meta));
  }

  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    std::vector<PoolAsk> asks;
    for (const RankingQuery& query : queries) asks.push_back(ask_of(query, {}));
    const std::vector<PooledRow> rows = pooler(components_).block(asks);
    const auto items = static_cast<std::size_t>(data_.items.size());
#pragma omp parallel for schedule(dynamic)
    for (std::size_t r = 0; r < rows.size(); ++r)
      final_scores(rows[r], scores.subspan(r * items, items), asks[r].nearest);
  }

  bool knows(const RankingQuery& query) const override {
    return std::ranges::any_of(components_,
                               [&](const SapComponent& component) { return component.model->knows(query); });
  }

  std::vector<Reason> reasons(const RankingQuery& query, std::int64_t item) const override {
    return graph_.like(query.history, item, kLikeItems);
  }

  std::vector<std::pair<std::string, double>> shares(const RankingQuery& query, std::int64_t item) const override {
    if (!explained_ || explained_->first.user != query.user ||
        explained_->first.history.data() != query.history.data()) {
      const PoolAsk ask = ask_of(query, {});
      explained_.emplace(query, std::move(pooler(components_).block(std::span(&ask, 1)).front()));
    }
    const PooledRow& row = explained_->second;
    std::vector<std::pair<std::string, double>> found;
    const auto place = std::ranges::lower_bound(row.pool.items, item);
    if (place != row.pool.items.end() && *place == item) {
      const auto parts = product_.parts(row, static_cast<std::size_t>(place - row.pool.items.begin()));
      double all = 0;
      for (const double part : parts) all += std::max(part, 0.0);
      for (std::size_t c = 0; c < parts.size(); ++c)
        if (parts[c] > 0) found.emplace_back(components_[c].name, parts[c] / all);
      // Where all speak against the item, it stands in the list for the one that does least.
      std::size_t least = parts.size();
      for (std::size_t c = 0; c < parts.size() && found.empty(); ++c)
        if (row.known >> c & 1 && (least == parts.size() || parts[c] > parts[least])) least = c;
      if (least < parts.size()) found.emplace_back(components_[least].name, 1.0);
      std::ranges::stable_sort(found, std::greater<>(), &std::pair<std::string, double>::second);
    }
    return found;
  }

  std::vector<std::string> component_names() const override {
    std::vector<std::string> names;
    for (const auto& order : workshop_->components()) names.push_back(order.name);
    return names;
  }

  std::vector<std::vector<PoolLine>> pools(std::span<const RankingQuery> queries) const override {
    std::vector<PoolAsk> asks;
    for (const RankingQuery& query : queries) asks.push_back(ask_of(query, {}));
    std::vector<std::vector<PoolLine>> tables;
    for (const PooledRow& row : pooler(components_).block(asks)) {
      const auto size = static_cast<std::size_t>(row.pool.size());
      std::vector<float> weighed(size), reranked(size);
      by_product(row, weighed);
      by_heads(row, reranked);
      auto& table = tables.emplace_back();
      for (const std::size_t place : order_.order(row, reranked)) {
        PoolLine& line = table.emplace_back(PoolLine{.item = row.pool.items[place],
                                                     .place = std::ssize(table) + 1,
                                                     .weighed = weighed[place],
                                                     .reranked = reranked[place],
                                                     .sources = {},
                                                     .scores = {}});
        for (std::size_t c = 0; c < components_.size(); ++c) {
          if (row.pool.sources[place] >> c & 1) line.sources.push_back(c);
          line.scores.push_back(row.pool.scores[c * size + place]);
        }
      }
    }
    return tables;
  }

  std::vector<UserGroup> user_groups() const override { return strata_.groups(); }

  json facts() const override { return facts_; }

  std::vector<RankerState> state() override {
    std::vector<RankerState> all = strata_.state();
    for (auto part : {text_state(), product_.state(), graph_.state(), order_.state(), calibration_.state()})
      std::ranges::move(part, std::back_inserter(all));
    return all;
  }
  std::int64_t parameters() const override {
    std::int64_t sum = product_.parameters() + static_cast<std::int64_t>(GraphRerank::kFeatures);
    for (const SapComponent& component : components_) sum += component.model->parameters();
    return sum;
  }

 private:
  static constexpr std::size_t kLikeItems = 3;

  static void drop_ranks(PooledRow& row) { row.pool.ranks = {}; }

  /// Runs a stage, or takes what it came to before when everything that it is made of is the same.
  template <typename State, typename Run>
  void stage(std::string_view name, std::initializer_list<std::string_view> keys, const State& state, const Run& run) {
    std::string made_of = so_far_.empty() ? data_.fingerprint + fmt::format(", seed {}", options_.seed) : so_far_;
    std::vector<std::string> settings = settings_of(input_.experiment, "sap");
    if (name == "text") std::ranges::move(settings_of(input_.experiment, "model"), std::back_inserter(settings));
    for (const std::string& setting : settings)
      if (std::ranges::any_of(keys, [&](std::string_view key) { return setting.starts_with(key); }))
        made_of += '\n' + setting;
    if (name == "select")
      for (const auto& order : workshop_->components()) made_of += '\n' + workshop_->identity(order.name);
    so_far_ = workshop_->digest(made_of);
    json facts;
    if (!workshop_->restore_stage(name, so_far_, state(), facts)) {
      facts = run();
      workshop_->save_stage(name, so_far_, state(), facts);
    }
    facts_["stages"][std::string(name)] = facts;
  }

  /// Of everything that the run comes from.
  std::string digest_of_all() const {
    std::string made_of = data_.fingerprint + fmt::format(", seed {}", options_.seed);
    for (const char* section : {"sap", "model"})
      for (const std::string& setting : settings_of(input_.experiment, section)) made_of += '\n' + setting;
    return workshop_->digest(made_of);
  }

  bool has_text() const {
    return options_.graph.enabled && options_.graph.semantic_share > 0 &&
           std::ranges::find(data_.item_table.columns, SideColumn::Kind::text, &SideColumn::kind) !=
               data_.item_table.columns.end();
  }
  std::vector<RankerState> text_state() {
    if (text_.empty()) return {};
    return {ranker_state("sap/text", {data_.items.size(), static_cast<std::int64_t>(text_.size()) / data_.items.size()},
                         text_)};
  }
  void draw_graph() { graph_.use(ItemGraph(data_.train, data_.items.size(), text_, options_.graph)); }

  /// After the strata are known: how many interactions each has, and what fills up a pool there.
  void place_strata() {
    const std::int64_t items = data_.items.size();
    std::vector<std::vector<std::int64_t>> counts(static_cast<std::size_t>(capacity_) + 1,
                                                  std::vector<std::int64_t>(static_cast<std::size_t>(items), 0));
    interactions_.assign(static_cast<std::size_t>(capacity_), 0);
    for (std::int64_t user = 0; user < data_.users.size(); ++user) {
      const std::int32_t stratum = stratum_of(user);
      for (const std::int64_t item : data_.train.of(user)) {
        ++counts.back()[item];
        if (stratum < 0) continue;
        ++counts[stratum][item];
        ++interactions_[stratum];
      }
    }
    popular_.clear();
    for (const auto& own : counts) {
      auto& order = popular_.emplace_back(static_cast<std::size_t>(items));
      std::iota(order.begin(), order.end(), std::int64_t{0});
      std::ranges::stable_sort(order, std::greater<>(), [&](std::int64_t item) { return own[item]; });
    }
  }

  std::vector<double> priors() const {
    if (!options_.strata_enabled) return {std::numeric_limits<double>::infinity()};
    return options_.prior ? std::vector{*options_.prior} : prior_choices(interactions_);
  }

  /// Without strata, all users who are not cold are one.
  std::int32_t stratum_of(std::int64_t user) const {
    if (user == kColdId || data_.train.count(user) == 0) return kNewStratum;
    if (data_.train.count(user) < options_.strata.cold_below) return kColdStratum;
    return strata_.count() > 0 ? strata_.of(user) : 0;
  }

  PoolAsk ask_of(const RankingQuery& query, std::span<const std::int64_t> relevant) const {
    const std::int32_t stratum = stratum_of(query.user);
    const std::int32_t nearest = strata_.count() == 0 ? kColdStratum : strata_.place_by_demographics(query.user);
    return {query, stratum, stratum >= 0 ? stratum : nearest, relevant, product_.gates.mask(stratum)};
  }

  /// Collective: pools of the users who took something in `taken`, with `known` as their history.
  PooledRows pools_of(std::span<const SapComponent> components, const Histories& known, const Histories& taken) const {
    std::vector<std::int64_t> users;
    for (std::int64_t user = 0; user < taken.users(); ++user)
      if (taken.count(user) > 0 && known.count(user) > 0) users.push_back(user);
    std::vector<PoolAsk> asks;
    for (const std::int64_t user : drawn_users(std::move(users), options_.product.users, options_.seed))
      asks.push_back(ask_of({user, known.of(user)}, taken.of(user)));
    return pooler(components).all(asks, input_.ranks, drop_ranks);
  }

  Pooler pooler(std::span<const SapComponent> components) const {
    return {components, data_.users, data_.items.size(), options_.pool, sources_, popular_};
  }

  // Scores of a pool after each stage.
  void by_product(const PooledRow& row, std::span<float> out) const { product_.score(row, out); }
  void by_heads(const PooledRow& row, std::span<float> out) const {
    product_.score(row, out);
    if (row.stratum != kNewStratum) graph_.rerank(row, out);
  }
  RowScorer scorer(void (Sap::*by)(const PooledRow&, std::span<float>) const) const {
    return [this, by](const PooledRow& row, std::span<float> out) { (this->*by)(row, out); };
  }

  /// The scores of the pool in the order that re-ordering chose, then the rest of the catalogue by popularity.
  void final_scores(const PooledRow& row, std::span<float> out, std::int32_t nearest) const {
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    std::vector<float> scores(static_cast<std::size_t>(row.pool.size()));
    by_heads(row, scores);
    const auto order = order_.order(row, scores);
    std::ranges::sort(scores, std::greater<>());
    std::ranges::fill(out, kNever);
    float last = std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < order.size(); ++i) {
      last = scores[i] < last ? scores[i] : std::nextafter(last, kNever);  // equal scores keep the order
      out[row.pool.items[order[i]]] = last;
    }
    float behind = std::isfinite(last) ? last - 1 : 0;
    for (const std::int64_t item : popular_[nearest < 0 ? popular_.size() - 1 : static_cast<std::size_t>(nearest)])
      if (out[item] == kNever) out[item] = behind -= 1;
    for (const std::int64_t item : order_.blocked()) out[item] = kNever;
  }

  double reorder_floor() const {
    if (options_.reorder.floor_of.empty()) return -1;
    const auto& all = workshop_->components();
    const auto found = std::ranges::find(all, options_.reorder.floor_of, &SapWorkshop::Order::name);
    if (found == all.end())
      throw input_.experiment.error("sap.reorder.floor_of", "there is no such component", "name one of sap.components");
    return alone_.at(static_cast<std::size_t>(found - all.begin()));
  }

  /// NDCG of each component by itself in the pools of `judge`, before any is left out.
  void measure_alone(const PooledRows& judge) {
    alone_.clear();
    for (std::size_t c = 0; c < components_.size(); ++c)
      alone_.push_back(pooled_ndcg(
          judge,
          [c](const PooledRow& row, std::span<float> out) {
            std::ranges::copy(std::span(row.pool.scores).subspan(c * out.size(), out.size()), out.begin());
          },
          options_.k, input_.ranks));
  }

  /// Takes the components from the gates that users who are not cold are served no worse without.
  json select(const PooledRows& learn, const PooledRows& judge) {
    if (!options_.product.selects || options_.product.equal_weights) return json::object();
    const PooledRows own = of_strata(learn), of_judge = of_strata(judge);
    // With the same weights in all strata and the pools of all components, since many combinations are tried.
    const auto ndcg_of = [&](std::uint64_t components) {
      ProductLayer tried = product_;
      tried.gates.keep(components);
      tried.gates.search_common(own, options_.k, input_.ranks);
      const double infinite = std::numeric_limits<double>::infinity();
      return tried.train_by_prior({&infinite, 1}, interactions_, own, of_judge, options_.k, input_.ranks)
          .at("reached")
          .get<double>();
    };
    const ComponentChoice choice =
        choose_components(product_.gates.mask_of_strata(), options_.sources.empty() ? 0 : sources_, ndcg_of);
    product_.gates.keep(choice.kept);
    json facts = {{"all", choice.ndcg_of_all}, {"dropped", json::array()}};
    for (const auto& [component, ndcg] : choice.dropped) {
      const std::string& name = components_[component].name;
      workshop_->note(fmt::format("component {} is left out: ndcg on validation {:.4f} without it", name, ndcg));
      facts["dropped"].push_back({{"component", name}, {"validation", ndcg}});
    }
    return facts;
  }

  /// Recall of the pools, and what each component alone brought into them.
  void take_census(const PooledRows& judge) {
    const PoolCensus census = census_of(judge, components_.size(), input_.ranks);
    const auto of = [](std::int64_t part, std::int64_t whole) {
      return whole == 0 ? json(nullptr) : json(static_cast<double>(part) / static_cast<double>(whole));
    };
    facts_["pool"] = {{"recall", of(census.found, census.relevant)}, {"size", of(census.items, judge.all)}};
    facts_["components"] = json::array();
    for (std::size_t c = 0; c < components_.size(); ++c)
      facts_["components"].push_back({{"name", components_[c].name},
                                      {"type", components_[c].type},
                                      {"pool", {{"hits", census.hits[c]}, {"sole_hits", census.sole_hits[c]}}}});
  }

  /// NDCG of the pools of `judge` after each stage, and of each component alone in them; gates of each stratum.
  json stage_figures(const PooledRows& judge) {
    const auto ndcg = [&](const RowScorer& by) { return pooled_ndcg(judge, by, options_.k, input_.ranks); };
    json figures = {{"product", ndcg(scorer(&Sap::by_product))}, {"graph", ndcg(scorer(&Sap::by_heads))}};
    for (std::size_t c = 0; c < components_.size(); ++c) {
      const double own = alone_[c];
      figures["alone"][components_[c].name] = own;
      if (data_.has_validation())
        facts_["components"][c]["metrics"]["validation"][fmt::format("ndcg@{}", options_.k)] = own;
      for (std::int32_t s = kNewStratum; s < std::max<std::int64_t>(1, strata_.count()); ++s)
        facts_["components"][c]["gates"][s == kNewStratum    ? "new users"
                                         : s == kColdStratum ? "cold users"
                                                             : fmt::format("stratum {}", s + 1)] =
            product_.gates.of(s)[c];
    }
    return figures;
  }

  /// "sasrec 0.62, ease 0.20" for each stratum.
  std::vector<std::string> gates_in_words() const {
    std::vector<std::string> words;
    for (std::int32_t s = 0; s < strata_.count(); ++s) {
      const auto gate = product_.gates.of(s);
      std::vector<std::size_t> order(gate.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t c) { return gate[c]; });
      std::string& own = words.emplace_back();
      for (const std::size_t c : order)
        if (gate[c] >= 0.01) own += fmt::format("{}{} {:.2f}", own.empty() ? "" : ", ", components_[c].name, gate[c]);
    }
    return words;
  }

  RankerInput input_;
  const Interactions& data_;
  SapOptions options_;
  std::unique_ptr<SapWorkshop> workshop_;
  std::uint64_t sources_;  // components that propose
  Strata strata_;
  std::int64_t capacity_;
  ProductLayer product_;
  std::vector<float> text_;  // [items, dim] of length 1; empty without text
  GraphRerank graph_;
  SecondaryOrder order_;
  Calibration calibration_;

  std::vector<SapComponent> components_;
  std::vector<std::vector<std::int64_t>> popular_;  // the catalogue in each stratum, all users last
  std::vector<std::int64_t> interactions_;          // of training, of each stratum
  std::vector<double> alone_;                       // NDCG on validation of each component
  std::string so_far_;                              // digest of all stages that were run
  json facts_ = json::object();
  mutable std::optional<std::pair<RankingQuery, PooledRow>> explained_;
};

}  // namespace

std::unique_ptr<Ranker> make_sap(const RankerInput& input, std::unique_ptr<SapWorkshop> workshop) {
  return std::make_unique<Sap>(input, std::move(workshop));
}

}  // namespace swallowtail
