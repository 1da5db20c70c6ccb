#include "trainer/sap/reorder.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace swallowtail {
namespace {

constexpr std::array<std::string_view, 3> kConstraintNames{"max_per_category", "min_new", "must_have"};

bool contains(std::span<const std::int64_t> items, std::int64_t item) {
  return std::ranges::find(items, item) != items.end();
}

std::span<const std::int64_t> categories_of(const ReorderInput& input, std::int64_t item) {
  return input.categories.offsets.empty() ? std::span<const std::int64_t>{} : input.categories.of(item);
}

/// What the constraints have left for the picks to come.
class Allowance {
 public:
  Allowance(const ReorderInput& input, const ReorderConstraints& constraints, std::int64_t length)
      : input_(input), constraints_(constraints), length_(length) {
    std::int64_t most = -1;
    for (const std::int64_t item : input.items) {
      is_blocked_.push_back(contains(constraints.blocked, item));
      is_new_.push_back(!constraints.is_new.empty() && constraints.is_new[item] != 0);
      is_must_.push_back(!is_blocked_.back() && contains(constraints.must_have, item));
      for (const std::int64_t category : categories_of(input, item)) most = std::max(most, category);
    }
    chosen_in_.assign(static_cast<std::size_t>(most + 1), 0);
    kept_for_must_ = chosen_in_;
    for (std::size_t place = 0; place < is_must_.size(); ++place)
      if (is_must_[place]) count_must(place, 1);
    holds_ = {constraints.max_per_category > 0, constraints.min_new > 0, must_left_ > 0};
  }

  bool is_blocked(std::size_t place) const { return is_blocked_[place]; }

  /// Whether the list can still keep the constraints that hold once this one is picked.
  bool allows(std::size_t place) const {
    if (is_blocked_[place]) return false;
    const bool is_must = is_must_[place] && holds(Constraint::must_have);
    if (holds(Constraint::max_per_category))
      for (const std::int64_t category : categories_of(input_, input_.items[place])) {
        const std::int64_t kept = holds(Constraint::must_have) ? kept_for_must_[category] - (is_must ? 1 : 0) : 0;
        if (chosen_in_[category] + 1 + kept > constraints_.max_per_category) return false;
      }
    const std::int64_t must = holds(Constraint::must_have) ? must_left_ - (is_must ? 1 : 0) : 0;
    const std::int64_t must_new =
        holds(Constraint::must_have) ? must_new_left_ - (is_must && is_new_[place] ? 1 : 0) : 0;
    const std::int64_t wanted = holds(Constraint::min_new) ? constraints_.min_new - new_ - (is_new_[place] ? 1 : 0) : 0;
    return must + std::max<std::int64_t>(0, wanted - must_new) <= length_ - picked_ - 1;
  }

  void pick(std::size_t place) {
    ++picked_;
    new_ += is_new_[place] ? 1 : 0;
    for (const std::int64_t category : categories_of(input_, input_.items[place])) ++chosen_in_[category];
    if (is_must_[place]) count_must(place, -1);
  }

  bool holds(Constraint constraint) const { return holds_[static_cast<std::size_t>(constraint)]; }
  void give_up(Constraint constraint) { holds_[static_cast<std::size_t>(constraint)] = false; }

 private:
  void count_must(std::size_t place, std::int64_t change) {
    must_left_ += change;
    must_new_left_ += is_new_[place] ? change : 0;
    for (const std::int64_t category : categories_of(input_, input_.items[place])) kept_for_must_[category] += change;
  }

  const ReorderInput& input_;
  const ReorderConstraints& constraints_;
  std::int64_t length_, picked_ = 0, new_ = 0, must_left_ = 0, must_new_left_ = 0;
  std::vector<bool> is_blocked_, is_new_, is_must_;      // [P]
  std::vector<std::int64_t> chosen_in_, kept_for_must_;  // [categories]
  std::array<bool, 3> holds_{};
};

/// What an item is worth now, after the picks so far.
class Worth {
 public:
  Worth(const ReorderInput& input, const ReorderOptions& options) : input_(input), options_(options) {
    const auto [least, most] = std::ranges::minmax(input.relevance);
    for (const float relevance : input.relevance)
      scaled_.push_back(most > least ? (static_cast<double>(relevance) - least) / (static_cast<double>(most) - least)
                                     : 0);
    likeness_.assign(scaled_.size(), 0.0);
    std::int64_t largest = -1;
    for (const std::int64_t item : input.items)
      for (const std::int64_t category : categories_of(input, item)) largest = std::max(largest, category);
    unmet_.assign(static_cast<std::size_t>(largest + 1), 1.0);
  }

  double of(std::size_t place) const {
    const double relevant = (1 - options_.lambda) * scaled_[place];
    if (options_.method == ReorderMethod::mmr) {
      const double novel = options_.nu == 0 ? 0 : options_.nu * input_.novelty[input_.items[place]];
      return relevant - options_.lambda * likeness_[place] + novel;
    }
    double wanted = 0;
    for (const std::int64_t category : categories_of(input_, input_.items[place])) {
      const double interest = input_.interest.empty() ? 1 / static_cast<double>(unmet_.size())
                                                      : static_cast<double>(input_.interest[category]);
      wanted += interest * chance(place) * unmet_[category];
    }
    return relevant + options_.lambda * wanted;
  }

  void pick(std::size_t place) {
    if (options_.method == ReorderMethod::mmr) {
      if (options_.lambda == 0) return;
      for (std::size_t other = 0; other < likeness_.size(); ++other) {
        const double alike = sparse_cosine(input_.likeness, input_.items[place], input_.items[other]);
        likeness_[other] = is_first_ ? alike : std::max(likeness_[other], alike);
      }
      is_first_ = false;
      return;
    }
    for (const std::int64_t category : categories_of(input_, input_.items[place]))
      unmet_[category] *= 1 - chance(place);
  }

 private:
  double chance(std::size_t place) const {
    return scaled_[place] / static_cast<double>(categories_of(input_, input_.items[place]).size() + 1);
  }

  const ReorderInput& input_;
  const ReorderOptions& options_;
  std::vector<double> scaled_, likeness_;  // [P] relevance in [0, 1]; greatest cosine with what is chosen
  std::vector<double> unmet_;              // [categories] chance that nothing chosen serves it
  bool is_first_ = true;
};

}  // namespace

std::string_view constraint_name(Constraint constraint) {
  return kConstraintNames[static_cast<std::size_t>(constraint)];
}

double sparse_cosine(const SparseVectors& vectors, std::int64_t a, std::int64_t b) {
  std::int64_t i = vectors.offsets[a], j = vectors.offsets[b];
  const std::int64_t last_i = vectors.offsets[a + 1], last_j = vectors.offsets[b + 1];
  const auto weight = [&](std::int64_t place) -> double {
    return vectors.weights.empty() ? 1 : vectors.weights[place];
  };
  double dot = 0, left = 0, right = 0;
  for (std::int64_t p = i; p < last_i; ++p) left += weight(p) * weight(p);
  for (std::int64_t p = j; p < last_j; ++p) right += weight(p) * weight(p);
  if (left == 0 || right == 0) return 0;
  while (i < last_i && j < last_j) {
    if (vectors.ids[i] == vectors.ids[j])
      dot += weight(i++) * weight(j++);
    else if (vectors.ids[i] < vectors.ids[j])
      ++i;
    else
      ++j;
  }
  return dot / std::sqrt(left * right);
}

Reordered reorder(const ReorderInput& input, const ReorderOptions& options, const ReorderConstraints& constraints) {
  Reordered result;
  if (input.items.empty()) return result;
  const auto open =
      std::ranges::count_if(input.items, [&](std::int64_t item) { return !contains(constraints.blocked, item); });
  const std::int64_t length = std::min<std::int64_t>(options.length, open);
  Allowance allowance(input, constraints, length);
  Worth worth(input, options);
  std::vector<bool> is_picked(input.items.size(), false);
  auto next_to_relax = constraints.relax.begin();
  while (static_cast<std::int64_t>(result.places.size()) < length) {
    std::int64_t best = -1;
    double most = 0;
    bool is_left = false;
    for (std::size_t place = 0; place < input.items.size(); ++place) {
      if (is_picked[place] || allowance.is_blocked(place)) continue;
      is_left = true;
      if (!allowance.allows(place)) continue;
      const double value = worth.of(place);
      const bool is_better =
          best < 0 || value > most ||
          (value == most &&
           (input.relevance[place] > input.relevance[best] ||
            (input.relevance[place] == input.relevance[best] && input.items[place] < input.items[best])));
      if (!is_better) continue;
      best = static_cast<std::int64_t>(place);
      most = value;
    }
    if (best < 0) {
      while (is_left && next_to_relax != constraints.relax.end() && !allowance.holds(*next_to_relax)) ++next_to_relax;
      if (!is_left || next_to_relax == constraints.relax.end()) {
        result.is_short = is_left;
        break;
      }
      allowance.give_up(*next_to_relax);
      result.relaxed.push_back(*next_to_relax++);
      continue;
    }
    is_picked[best] = true;
    allowance.pick(static_cast<std::size_t>(best));
    worth.pick(static_cast<std::size_t>(best));
    result.places.push_back(best);
  }
  return result;
}

std::vector<float> novelty_of(std::span<const std::int64_t> train_counts, std::int64_t train_users) {
  const double most = std::log2(static_cast<double>(train_users + 1));
  std::vector<float> novelty;
  for (const std::int64_t count : train_counts)
    novelty.push_back(
        most == 0 ? 0
                  : static_cast<float>(
                        -std::log2(static_cast<double>(count + 1) / static_cast<double>(train_users + 1)) / most));
  return novelty;
}

}  // namespace swallowtail
