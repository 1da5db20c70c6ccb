// Cross-validation: which of K folds a row belongs to, and so whether it trains or validates while one of them is held
// out.
//   random      folds of equal size
//   stratified  every group (class of the label; with interactions: user) is spread evenly over the folds
//   time        forward chaining: the rows in their order are cut in K + 1 equal stretches; fold f trains on the
//               stretches 0 … f and is validated on the next one; later rows are left out
//   user        whole groups (users, or the values of evaluation.fold_column) belong to one fold
// All of it from counters: a row's fold depends on the seed, its place and its group alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "trainer/config/experiment.h"

namespace swallowtail {

enum class Part : std::uint8_t { train, validation, test };

enum class FoldBy : std::uint8_t { random, stratified, time, user };

struct FoldOptions {
  std::int64_t folds = 0;  // 0: no cross-validation
  std::int64_t fold = 0;   // the one that is held out
  FoldBy by = FoldBy::random;
  std::string column;  // user, of click models
  std::uint64_t seed = 1;

  bool is_on() const noexcept { return folds > 0; }
  /// Equal text, equal folds.
  std::string text() const;
};

/// evaluation.folds and evaluation.fold. Errors: usage for a fold that there is not.
FoldOptions fold_options(const Experiment& experiment);

class Folds {
 public:
  /// `rows`: how many part() will be asked for; time only.
  Folds(const FoldOptions& options, std::int64_t rows) : options_(options), rows_(rows) {}
  /// Of the next row; nothing where it is left out. `group`: see above; any number for random and time.
  std::optional<Part> part(std::uint64_t group);

 private:
  const FoldOptions& options_;
  std::int64_t rows_, row_ = 0;
  std::unordered_map<std::uint64_t, std::int64_t> seen_;  // rows of each group so far
};

}  // namespace swallowtail
