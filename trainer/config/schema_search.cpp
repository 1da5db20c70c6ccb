// Keys of the search over experiments (tune) and of cross-validation (evaluation.folds).
#include <array>

#include "trainer/config/schema.h"

namespace swallowtail::config {
namespace {

const std::array kKeys{
    Key{.path = "evaluation.folds",
        .kind = Kind::integer,
        .default_value = "0",
        .meaning = "cross-validation: train trains once for each fold and reports mean and standard error; the rows of "
                   "data.train and data.validation together are divided, the test part stays; 0 is none",
        .unit = "folds",
        .range = between(0, 1000)},
    Key{.path = "evaluation.folds_by",
        .kind = Kind::choice,
        .default_value = "random",
        .meaning = "how rows fall into folds: at random; stratified: each class of the label (interactions: each user) "
                   "spread evenly; time: forward chaining over K + 1 stretches of the rows in order (interactions: by "
                   "timestamp), each trained on all that came before it; user: whole users",
        .choices = {"random", "stratified", "time", "user"}},
    Key{.path = "evaluation.fold_column",
        .kind = Kind::text,
        .default_value = "null",
        .meaning = "folds_by: user of click models: the column of ids whose rows stay together",
        .length = {1}},
    Key{.path = "evaluation.fold",
        .kind = Kind::integer,
        .default_value = "null",
        .meaning = "trains on this fold alone being held out; by default on one after another",
        .range = at_least(0)},

    Key{.path = "tune.parameters[].key",
        .kind = Kind::text,
        .meaning = "the key of the experiment that is searched, such as train.learning_rate",
        .length = {1}},
    Key{.path = "tune.parameters[].kind",
        .kind = Kind::choice,
        .default_value = "choice",
        .meaning =
            "one of `values`; or a number between low and high, log_ where its order of magnitude is in question",
        .choices = {"choice", "uniform", "log_uniform", "int", "log_int"}},
    Key{.path = "tune.parameters[].values",
        .kind = Kind::texts,
        .default_value = "[]",
        .meaning = "choice: what the key may be, each as on the command line: [64, 128], ['[64, 32]', '[128]']"},
    Key{.path = "tune.parameters[].low", .kind = Kind::number, .default_value = "null", .meaning = "least number"},
    Key{.path = "tune.parameters[].high", .kind = Kind::number, .default_value = "null", .meaning = "greatest number"},
    Key{.path = "tune.parameters[].points",
        .kind = Kind::integer,
        .default_value = "3",
        .meaning = "method: grid: how many numbers from low to high are tried",
        .range = between(1, 10000)},
    Key{.path = "tune.method",
        .kind = Kind::choice,
        .default_value = "random",
        .meaning = "grid: every combination; random; tpe: what has done well is tried more; halving: many short "
                   "trainings, the best of which are done again with more epochs",
        .choices = {"grid", "random", "tpe", "halving"}},
    Key{.path = "tune.trials",
        .kind = Kind::integer,
        .default_value = "20",
        .meaning = "trainings of random and tpe; halving: those of its first round; grid has as many as it has points",
        .unit = "trials",
        .range = between(1, 1e6)},
    Key{.path = "tune.metric",
        .kind = Kind::text,
        .default_value = "null",
        .meaning =
            "what is searched for, on the validation part (its mean over evaluation.folds); by default what stops "
            "early, else the first of evaluation.metrics",
        .length = {1}},
    Key{.path = "tune.budget_s",
        .kind = Kind::number,
        .default_value = "null",
        .meaning = "no trial begins later than this",
        .unit = "seconds",
        .range = above(0)},
    Key{.path = "tune.parallel",
        .kind = Kind::choice,
        .default_value = "ranks",
        .meaning = "ranks: every trial is trained by all ranks together; trials: each rank trains trials of its own",
        .choices = {"ranks", "trials"}},
    Key{.path = "tune.generation",
        .kind = Kind::integer,
        .default_value = "4",
        .meaning = "tpe: trials that are proposed together, from what all before them came to: the search is the same "
                   "on any number of ranks",
        .unit = "trials",
        .range = between(1, 10000)},
    Key{.path = "tune.reduction",
        .kind = Kind::integer,
        .default_value = "3",
        .meaning = "halving: one of so many trials goes on to the next round, with so many times the epochs",
        .range = between(2, 100)},
    Key{.path = "tune.least_epochs",
        .kind = Kind::integer,
        .default_value = "1",
        .meaning = "halving: epochs of the first round, at the least; the last round has train.epochs",
        .unit = "epochs",
        .range = at_least(1)},
};

}  // namespace

std::span<const Key> search_keys() { return kKeys; }

}  // namespace swallowtail::config
