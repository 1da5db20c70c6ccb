#include "trainer/data/folds.h"

#include <fmt/format.h>

#include "kernels/random.h"
#include "trainer/data/sample_order.h"

namespace swallowtail {
namespace {

constexpr auto kFold = random::purpose("fold");

FoldBy fold_by(const std::string& name) {
  return name == "stratified" ? FoldBy::stratified
         : name == "time"     ? FoldBy::time
         : name == "user"     ? FoldBy::user
                              : FoldBy::random;
}

}  // namespace

std::string FoldOptions::text() const {
  return is_on() ? fmt::format("fold {} of {} by {} {} {}", fold, folds, static_cast<int>(by), column, seed) : "";
}

FoldOptions fold_options(const Experiment& experiment) {
  FoldOptions options;
  if (!experiment.has("evaluation.fold")) return options;
  options.folds = experiment.integer("evaluation.folds");
  options.fold = experiment.integer("evaluation.fold");
  if (options.folds < 2)
    throw experiment.error("evaluation.fold", "a fold is held out, and evaluation.folds names none",
                           "set evaluation.folds to 2 or more");
  if (options.fold >= options.folds)
    throw experiment.error("evaluation.fold", fmt::format("there are {} folds", options.folds), "folds count from 0");
  options.by = fold_by(experiment.text("evaluation.folds_by"));
  if (experiment.has("evaluation.fold_column")) options.column = experiment.text("evaluation.fold_column");
  options.seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  return options;
}

std::optional<Part> Folds::part(std::uint64_t group) {
  const std::int64_t row = row_++, folds = options_.folds;
  std::int64_t fold = 0;
  switch (options_.by) {
    case FoldBy::random:
      group = 0;
      [[fallthrough]];
    case FoldBy::stratified: {
      // Each K rows of a group in turn lie in the K folds, in an order of their own.
      const std::int64_t place = seen_[group]++;
      const Permutation order(
          folds, random::bits(options_.seed, kFold ^ random::mix(group), static_cast<std::uint64_t>(place / folds)));
      fold = order(place % folds);
      break;
    }
    case FoldBy::time: {
      const std::int64_t stretch = rows_ == 0 ? 0 : row * (folds + 1) / rows_;
      if (stretch <= options_.fold) return Part::train;
      if (stretch == options_.fold + 1) return Part::validation;
      return {};
    }
    case FoldBy::user:
      fold = random::below(random::bits(options_.seed, kFold, group), folds);
      break;
  }
  return fold == options_.fold ? Part::validation : Part::train;
}

}  // namespace swallowtail
