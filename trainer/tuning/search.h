// How a search goes from one generation of trials to the next. Everything is a function of the experiment and of what
// earlier trials came to, with draws from counters: a search that was stopped goes on as if it had not been, and the
// number of ranks changes nothing.
//   grid     one generation: every combination
//   random   one generation
//   tpe      generations of tune.generation trials. The first ones are random; then the finished trials are divided
//   into
//            a good quarter and the rest, and of several draws from the density of the good ones that is taken at which
//            it is largest beside the density of the others, each parameter by itself.
//            Source: Bergstra et al., NeurIPS 2011.
//   halving  successive halving: generation after generation, one of tune.reduction trials goes on, with so many times
//            the epochs. Source: Jamieson and Talwalkar, AISTATS 2016.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "trainer/tuning/search_space.h"

namespace swallowtail {

enum class SearchMethod : std::uint8_t { grid, random, tpe, halving };

struct Trial {
  std::int64_t number = 0;
  SearchPoint point;
  std::int64_t epochs = 0;  // halving: of this round; 0: as the experiment says
  bool operator==(const Trial&) const = default;
};

struct FinishedTrial {
  Trial trial;
  std::optional<double> merit;  // more is better; nothing: it failed
};

struct SearchOptions {
  SearchMethod method = SearchMethod::random;
  std::vector<SearchParameter> space;
  std::int64_t trials = 20, generation = 4, reduction = 3, least_epochs = 1, epochs = 1;
  std::uint64_t seed = 1;
};

/// tune.*. Errors: usage, also where halving meets a search over train.epochs.
SearchOptions search_options(const Experiment& experiment);

class Search {
 public:
  explicit Search(SearchOptions options) : options_(std::move(options)) {}
  const SearchOptions& options() const noexcept { return options_; }
  /// The trials that come after `finished`, which are all of the generations before, by number. Empty: the end.
  std::vector<Trial> next(std::span<const FinishedTrial> finished) const;
  /// The best one: of those with the most epochs, the greatest merit, the lowest number of equals. Null: all failed.
  static const FinishedTrial* best(std::span<const FinishedTrial> finished);

 private:
  SearchPoint random_point(std::int64_t number) const;
  SearchPoint tpe_point(std::int64_t number, std::span<const FinishedTrial> finished) const;
  std::vector<Trial> next_round(std::span<const FinishedTrial> finished) const;

  SearchOptions options_;
};

}  // namespace swallowtail
