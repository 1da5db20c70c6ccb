// A model that ranks the whole catalogue for users. Two kinds: fitted in one pass (fit) or trained in steps
// (train_step). All functions are collective: every rank calls the same ones in the same order, and results have the
// same bits on any number of ranks. A new model is one file and one line in trainer/training/ranking_models.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"
#include "parallel/error.h"
#include "trainer/config/experiment.h"
#include "trainer/data/interactions.h"
#include "trainer/embedding/sharded_embedding.h"

namespace swallowtail {

/// What a ranker is made of; all outlive it.
struct RankerInput {
  const Experiment& experiment;
  const Interactions& data;
  Communicator& ranks;
};

/// One step: the samples [first, first + size) of the epoch's order.
struct RankerStep {
  std::int64_t step = 1;  // from 1, of the whole run
  std::int64_t epoch = 0, first = 0, size = 0;
  double rate_factor = 1;
  double progress = 0;  // share of train.epochs that is done
  /// The step after this one, or null where there is none, or the caller does not know: what it needs may be drawn
  /// while this one is trained.
  const RankerStep* next = nullptr;
};

/// Whom to rank for.
struct RankingQuery {
  std::int64_t user = kColdId;            // number among the run's users, or kColdId
  std::span<const std::int64_t> history;  // what is known of the user, oldest first
};

/// An array of the model that all ranks hold alike: rank 0 saves it, every rank reads it back.
struct RankerState {
  std::string name;
  std::string dtype;  // F32 or I64
  std::vector<std::int64_t> shape;
  std::span<std::byte> bytes;
};

/// Users that belong together: "stratum 1".
struct UserGroup {
  std::string name;
  std::vector<std::int64_t> users;  // rising
};

class Ranker {
 public:
  virtual ~Ranker() = default;

  /// Samples of an epoch; 0 where the model is fitted in one pass.
  virtual std::int64_t epoch_samples() const { return 0; }
  virtual void fit() {}
  /// Mean loss of the step. The update has been applied unless the loss is not finite.
  /// Errors: numbers, naming the row, where a gradient is not finite.
  virtual double train_step(const RankerStep& /*step*/) { return 0; }

  /// Before a row of score() calls, after training or restoring.
  virtual void prepare_scores() {}
  /// scores [queries, items], overwritten. This rank's queries, which may be none while other ranks have some. Users
  /// that the model knows nothing of may get any equal scores: the caller ranks by popularity for them.
  virtual void score(std::span<const RankingQuery> queries, std::span<float> scores) = 0;
  /// Whether the model has something to say of the user.
  virtual bool knows(const RankingQuery& query) const = 0;

  struct Reason {
    std::int64_t item = kColdId;  // of the history
    double share = 0;             // of the score that it brings
  };
  /// The items of the history that bring most of the score, if the score is a sum over them. Not collective.
  virtual std::vector<Reason> reasons(const RankingQuery& /*query*/, std::int64_t /*item*/) const { return {}; }

  /// Groups of users that the model itself makes, such as strata; evaluation measures each. Not collective.
  virtual std::vector<UserGroup> user_groups() const { return {}; }

  // Steps on a device (trainer/device/device_trainer.h), of models whose entry says that they have them. Not
  // collective.
  /// Why they cannot be made as the experiment is, as an error at its key; nothing: use_device() may be called.
  virtual std::optional<Error> device_obstacle() const { return {}; }
  /// From now on train_step() is the device's, from what the host's tables are then. Errors: resources, then and later.
  virtual void use_device(int /*device*/) {}
  /// The host's tables as the device has them by now, before a save; prepare_scores() does it by itself.
  virtual void fetch_from_device() {}
  /// The same, and from now on train_step() is the host's again; nothing without a device.
  virtual void leave_device() {}

  /// What a checkpoint holds beside the embedding tables.
  virtual std::vector<RankerState> state() { return {}; }
  /// The tables, null where the model has none.
  virtual ShardedEmbedding* embedding() { return nullptr; }
  virtual std::int64_t parameters() const = 0;
};

struct RankerEntry {
  std::string_view name, meaning;
  std::unique_ptr<Ranker> (*make)(const RankerInput&);
  bool has_device_steps = false;
};

std::unique_ptr<Ranker> make_popularity(const RankerInput& input);
std::unique_ptr<Ranker> make_demographic(const RankerInput& input);
std::unique_ptr<Ranker> make_item_knn(const RankerInput& input);
std::unique_ptr<Ranker> make_bpr_mf(const RankerInput& input);
std::unique_ptr<Ranker> make_light_gcn(const RankerInput& input);

/// The array as state of a checkpoint.
template <typename T>
RankerState ranker_state(std::string name, std::vector<std::int64_t> shape, std::vector<T>& values) {
  return {std::move(name), sizeof(T) == sizeof(float) ? "F32" : "I64", std::move(shape),
          std::as_writable_bytes(std::span(values))};
}

}  // namespace swallowtail
