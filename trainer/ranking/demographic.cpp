// Demographic popularity, for users of whom only their row in data.users is known: the logarithm of an item's share of
// the training interactions, and for each column a part of how much larger its share is in the user's group,
//   s(u, i) = ln p_i + weight * sum over columns of ln((n_gi + m p_i) / (n_g + m) / p_i),
// m the interactions of `smoothing_users` average users, so that small groups say little. The parts are shrunk because
// columns repeat one another; SAP.md 7.2 measured weight 1/2 on cold users.
#include <algorithm>
#include <cmath>

#include "trainer/ranking/ranker.h"
#include "trainer/ranking/user_columns.h"

namespace swallowtail {
namespace {

constexpr double kUnseen = 0.5;             // interactions that every item gets beside its own
constexpr double kColumnsOfFullWeight = 4;  // more columns share the weight of so many

class Demographic final : public Ranker {
 public:
  explicit Demographic(const RankerInput& input)
      : data_(input.data),
        items_(input.data.items.size()),
        weight_(input.experiment.number("model.demographic_weight")),
        smoothing_users_(input.experiment.number("model.smoothing_users")),
        columns_(
            column_groups_of(input.data.user_table, input.data.train, input.experiment.integer("model.quantiles"))),
        base_(static_cast<std::size_t>(items_), 0.0F) {
    weight_ *= std::min(1.0, kColumnsOfFullWeight / std::max<double>(1, static_cast<double>(columns_.size())));
    // Where a group has not touched an item the ratio is the same for all items, so only the others are stored.
    for (const ColumnGroups& column : columns_) {
      first_group_.push_back(static_cast<std::int64_t>(offsets_.size()) - 1);
      std::vector<std::vector<std::int64_t>> touched(column.names.size());
      for (std::int64_t user = 0; user < data_.train.users(); ++user)
        for (const std::int64_t group : column.of(user)) {
          const auto own = data_.train.of(user);
          touched[group].insert(touched[group].end(), own.begin(), own.end());
        }
      for (auto& items : touched) {
        std::ranges::sort(items);
        for (std::size_t i = 0; i < items.size();) {
          const auto next = static_cast<std::size_t>(std::ranges::upper_bound(items, items[i]) - items.begin());
          touched_.push_back(items[i]);
          counts_.push_back(static_cast<float>(next - i));
          i = next;
        }
        offsets_.push_back(static_cast<std::int64_t>(touched_.size()));
      }
    }
    ratios_.assign(touched_.size(), 0.0F);
  }

  void fit() override {
    const auto counts = item_counts(data_.train, items_);
    std::int64_t users = 0;
    for (std::int64_t user = 0; user < data_.train.users(); ++user) users += data_.train.count(user) > 0 ? 1 : 0;
    const double all = static_cast<double>(data_.train.size()) + kUnseen * static_cast<double>(items_);
    std::vector<double> share;
    for (std::int64_t item = 0; item < items_; ++item) {
      share.push_back((static_cast<double>(counts[item]) + kUnseen) / all);
      base_[item] = static_cast<float>(std::log(share.back()));
    }
    const double m =
        smoothing_users_ * static_cast<double>(data_.train.size()) / std::max<double>(1, static_cast<double>(users));
    for (std::size_t i = 0; i < touched_.size(); ++i) {
      const double expected = m * share[touched_[i]];
      // ln(n_gi + m p_i) - ln(m p_i): what is left of the ratio when its value for n_gi = 0 is taken off all items.
      ratios_[i] = static_cast<float>(weight_ * std::log1p(counts_[i] / std::max(expected, 1e-12)));
    }
  }

  void score(std::span<const RankingQuery> queries, std::span<float> scores) override {
    for (std::size_t q = 0; q < queries.size(); ++q) {
      float* const row = scores.data() + static_cast<std::int64_t>(q) * items_;
      std::ranges::copy(base_, row);
      if (!knows(queries[q])) continue;
      for (std::size_t column = 0; column < columns_.size(); ++column) {
        const auto groups = columns_[column].of(queries[q].user);
        const float part = 1.0F / static_cast<float>(groups.size());
        for (const std::int64_t group : groups) {
          const std::int64_t place = first_group_[column] + group;
          for (std::int64_t i = offsets_[place]; i < offsets_[place + 1]; ++i) row[touched_[i]] += part * ratios_[i];
        }
      }
    }
  }

  bool knows(const RankingQuery& query) const override { return query.user != kColdId && !columns_.empty(); }
  std::vector<RankerState> state() override {
    return {ranker_state("demographic/log_share", {items_}, base_),
            ranker_state("demographic/log_ratios", {static_cast<std::int64_t>(ratios_.size())}, ratios_)};
  }
  std::int64_t parameters() const override { return static_cast<std::int64_t>(base_.size() + ratios_.size()); }

 private:
  const Interactions& data_;
  std::int64_t items_;
  double weight_, smoothing_users_;
  std::vector<ColumnGroups> columns_;
  std::vector<std::int64_t> first_group_;  // of each column
  std::vector<std::int64_t> offsets_{0};   // [groups of all columns + 1] into touched_
  std::vector<std::int64_t> touched_;      // items that users of the group have touched, rising
  std::vector<float> counts_, ratios_;     // of touched_: interactions; weighted logarithm
  std::vector<float> base_;                // [items]
};

}  // namespace

std::unique_ptr<Ranker> make_demographic(const RankerInput& input) { return std::make_unique<Demographic>(input); }

}  // namespace swallowtail
