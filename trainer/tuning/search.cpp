#include "trainer/tuning/search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/random.h"
#include "trainer/tuning/parzen.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kRandomFirst = 10;  // trials of tpe that know too little to learn from
constexpr std::int64_t kRandomEvery = 5;   // a trial that learns nothing from the others, so that no choice is given up
constexpr double kGoodShare = 0.1;         // with kMostGood as Optuna has it (Akiba et al., KDD 2019)
constexpr std::int64_t kMostGood = 25;
constexpr std::int64_t kCandidates = 24;

SearchMethod method_of(const std::string& name) {
  return name == "grid"      ? SearchMethod::grid
         : name == "tpe"     ? SearchMethod::tpe
         : name == "halving" ? SearchMethod::halving
                             : SearchMethod::random;
}

/// Numbers of finished trials, the best first; failed ones last.
std::vector<std::size_t> by_merit(std::span<const FinishedTrial> finished) {
  std::vector<std::size_t> order(finished.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    if (!finished[a].merit || !finished[b].merit) return finished[a].merit.has_value() && !finished[b].merit;
    return *finished[a].merit > *finished[b].merit;
  });
  return order;
}

}  // namespace

SearchOptions search_options(const Experiment& experiment) {
  SearchOptions options;
  options.method = method_of(experiment.text("tune.method"));
  options.space = search_space(experiment);
  options.trials = experiment.integer("tune.trials");
  options.generation = experiment.integer("tune.generation");
  options.reduction = experiment.integer("tune.reduction");
  options.least_epochs = experiment.integer("tune.least_epochs");
  options.epochs = experiment.integer("train.epochs");
  options.seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  if (options.method != SearchMethod::halving) return options;
  if (std::ranges::find(options.space, "train.epochs", &SearchParameter::key) != options.space.end())
    throw experiment.error("tune.method", "halving gives out the epochs itself, and tune.parameters searches them",
                           "take train.epochs out of tune.parameters");
  if (options.least_epochs > options.epochs)
    throw experiment.error("tune.least_epochs", "the first round has more epochs than train.epochs", "lower it");
  return options;
}

std::vector<Trial> Search::next(std::span<const FinishedTrial> finished) const {
  const auto done = static_cast<std::int64_t>(finished.size());
  std::vector<Trial> trials;
  switch (options_.method) {
    case SearchMethod::grid: {
      if (done > 0) break;
      trials.push_back({});
      for (const SearchParameter& parameter : options_.space) {
        std::vector<Trial> longer;
        for (const Trial& trial : trials)
          for (const std::string& value : parameter.grid()) {
            longer.push_back(trial);
            longer.back().point.push_back(value);
          }
        trials = std::move(longer);
      }
      for (std::size_t t = 0; t < trials.size(); ++t) trials[t].number = static_cast<std::int64_t>(t);
      break;
    }
    case SearchMethod::random:
      if (done > 0) break;
      for (std::int64_t number = 0; number < options_.trials; ++number)
        trials.push_back({number, random_point(number), 0});
      break;
    case SearchMethod::tpe:
      for (std::int64_t number = done; number < std::min(options_.trials, done + options_.generation); ++number)
        trials.push_back({number, tpe_point(number, finished), 0});
      break;
    case SearchMethod::halving:
      return next_round(finished);
  }
  return trials;
}

std::vector<Trial> Search::next_round(std::span<const FinishedTrial> finished) const {
  // Epochs of the rounds, from the last one back, as long as a trial is left to do without.
  std::vector<std::int64_t> epochs{options_.epochs};
  for (std::int64_t left = options_.trials; left >= options_.reduction && epochs.front() > options_.least_epochs;
       left /= options_.reduction)
    epochs.insert(epochs.begin(), std::max(options_.least_epochs, epochs.front() / options_.reduction));
  std::vector<Trial> trials;
  if (finished.empty()) {
    for (std::int64_t number = 0; number < options_.trials; ++number)
      trials.push_back({number, random_point(number), epochs.front()});
    return trials;
  }
  const std::int64_t round_epochs = finished.back().trial.epochs;
  const auto round = std::ranges::find(epochs, round_epochs) - epochs.begin();
  if (round + 1 >= std::ssize(epochs)) return {};
  const auto first =
      std::ranges::find_if(finished, [&](const FinishedTrial& one) { return one.trial.epochs == round_epochs; });
  const auto last_round = std::span(first, finished.end());
  const auto order = by_merit(last_round);
  const std::size_t kept = std::max<std::size_t>(1, last_round.size() / static_cast<std::size_t>(options_.reduction));
  auto number = static_cast<std::int64_t>(finished.size());
  for (std::size_t i = 0; i < kept; ++i)
    if (last_round[order[i]].merit) trials.push_back({number++, last_round[order[i]].trial.point, epochs[round + 1]});
  return trials;
}

SearchPoint Search::random_point(std::int64_t number) const {
  SearchPoint point;
  for (const SearchParameter& parameter : options_.space)
    point.push_back(parameter.value_at(random::uniform(random::bits(
        options_.seed, random::purpose("tune") ^ random::purpose(parameter.key), static_cast<std::uint64_t>(number)))));
  return point;
}

SearchPoint Search::tpe_point(std::int64_t number, std::span<const FinishedTrial> finished) const {
  if (std::ssize(finished) < kRandomFirst || number % kRandomEvery == 0) return random_point(number);
  const auto order = by_merit(finished);
  const auto good = static_cast<std::size_t>(std::clamp<std::int64_t>(
      std::llround(std::ceil(kGoodShare * static_cast<double>(finished.size()))), 1, kMostGood));
  std::vector<Parzen> likely, unlikely;
  for (std::size_t p = 0; p < options_.space.size(); ++p) {
    const SearchParameter& parameter = options_.space[p];
    std::vector<double> best, others;
    for (std::size_t i = 0; i < order.size(); ++i)
      (i < good && finished[order[i]].merit ? best : others)
          .push_back(parameter.unit_of(finished[order[i]].trial.point[p]));
    const std::int64_t bins =
        parameter.kind == SearchParameter::Kind::choice ? static_cast<std::int64_t>(parameter.values.size()) : 0;
    likely.emplace_back(best, bins);
    unlikely.emplace_back(others, bins);
  }
  // Whole points compete, not each parameter's values alone: else the choice that happens to lead is drawn for ever.
  SearchPoint chosen;
  double chosen_gain = 0;
  for (std::int64_t candidate = 0; candidate < kCandidates; ++candidate) {
    SearchPoint point;
    double gain = 0;
    for (std::size_t p = 0; p < options_.space.size(); ++p) {
      const SearchParameter& parameter = options_.space[p];
      point.push_back(parameter.value_at(
          likely[p].draw(random::bits(options_.seed, random::purpose("tune, tpe") ^ random::purpose(parameter.key),
                                      static_cast<std::uint64_t>(number), static_cast<std::uint64_t>(candidate)))));
      const double unit = parameter.unit_of(point.back());
      gain += std::log(likely[p].density(unit) / unlikely[p].density(unit));
    }
    if (candidate > 0 && gain <= chosen_gain) continue;
    chosen = std::move(point);
    chosen_gain = gain;
  }
  return chosen;
}

const FinishedTrial* Search::best(std::span<const FinishedTrial> finished) {
  const FinishedTrial* best = nullptr;
  for (const FinishedTrial& one : finished) {
    if (!one.merit) continue;
    if (best == nullptr || one.trial.epochs > best->trial.epochs ||
        (one.trial.epochs == best->trial.epochs && *one.merit > *best->merit))
      best = &one;
  }
  return best;
}

}  // namespace swallowtail
