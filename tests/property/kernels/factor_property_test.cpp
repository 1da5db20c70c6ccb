// BPR and sampled softmax against their formulas in fp64, and the same bits under every instruction set and any number
// of threads.
#include <gtest/gtest.h>
#include <omp.h>
#include <rapidcheck.h>

#include <cmath>
#include <vector>

#include "kernels/bpr.h"
#include "kernels/random.h"
#include "kernels/sampled_softmax.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

struct Case {
  bool is_softmax, has_bias, is_weighted, has_log_q;
  std::int64_t size, negatives, dim, users, items;
  OptimizerStep step;
  std::uint64_t seed;
};

struct State {
  std::vector<float> users, items, bias, user_state, item_state, bias_state;
  double loss = 0;
  bool operator==(const State&) const = default;
};

struct Ids {
  std::vector<std::int64_t> users, positives, negatives;
  std::vector<float> weights, log_q, negative_log_q;
};

std::vector<float> floats(std::uint64_t seed, std::uint64_t purpose, std::int64_t size, double scale) {
  std::vector<float> made(size);
  for (std::int64_t i = 0; i < size; ++i)
    made[i] = static_cast<float>(scale * random::normal(random::bits(seed, purpose, i)));
  return made;
}

/// Of many rows most, but one in eight among the first few: some come often, most once.
std::vector<std::int64_t> ids(std::uint64_t seed, std::uint64_t purpose, std::int64_t size, std::int64_t rows) {
  std::vector<std::int64_t> made(size);
  for (std::int64_t i = 0; i < size; ++i) {
    const std::uint64_t bits = random::bits(seed, purpose, i);
    made[i] = random::below(random::mix(bits), bits % 8 == 0 ? std::min<std::int64_t>(rows, 5) : rows);
  }
  return made;
}

Ids ids_of(const Case& of) {
  Ids made{ids(of.seed, 1, of.size, of.users),
           ids(of.seed, 2, of.size, of.items),
           ids(of.seed, 3, of.size * of.negatives, of.items),
           {},
           {},
           {}};
  if (of.is_weighted)
    for (const float w : floats(of.seed, 4, of.size, 1)) made.weights.push_back(std::abs(w));
  if (of.has_log_q) {
    made.log_q = floats(of.seed, 5, of.size, 2);
    made.negative_log_q = floats(of.seed, 6, of.size * of.negatives, 2);
  }
  return made;
}

State before(const Case& of) {
  State state{floats(of.seed, 7, of.users * of.dim, 0.4), floats(of.seed, 8, of.items * of.dim, 0.4), {}, {}, {}, {}};
  if (of.has_bias) state.bias = floats(of.seed, 9, of.items, 0.5);
  state.user_state.assign(of.users * sparse_state_width(of.step.kind, of.dim), 0.5F);
  state.item_state.assign(of.items * sparse_state_width(of.step.kind, of.dim), 0.5F);
  state.bias_state.assign(of.items * sparse_state_width(of.step.kind, 1), 0.5F);
  return state;
}

State after(const Case& of) {
  State state = before(of);
  const Ids made = ids_of(of);
  FactorScratch scratch;
  const FactorTables tables{state.users.data(),
                            state.items.data(),
                            of.has_bias ? state.bias.data() : nullptr,
                            state.user_state.data(),
                            state.item_state.data(),
                            state.bias_state.data(),
                            of.users,
                            of.items,
                            of.dim};
  const TripletBatch batch{made.users, made.positives, made.negatives, made.weights};
  const FactorStep step = of.is_softmax
                              ? sampled_softmax_step(of.step, tables, batch, {made.log_q, made.negative_log_q}, scratch)
                              : bpr_step(of.step, tables, batch, scratch);
  RC_ASSERT(step.bad_row == -1);
  state.loss = step.loss;
  return state;
}

Case any_case() {
  Case made;
  made.is_softmax = *rc::gen::arbitrary<bool>();
  made.has_bias = *rc::gen::arbitrary<bool>();
  made.is_weighted = *rc::gen::arbitrary<bool>();
  made.has_log_q = *rc::gen::arbitrary<bool>();
  made.size = *rc::gen::element<std::int64_t>(0, 1, 7, 60, 400);
  made.negatives = *rc::gen::element<std::int64_t>(1, 1, 2, 9);
  made.dim = *rc::gen::oneOf(rc::gen::element<std::int64_t>(16, 64), rc::gen::inRange<std::int64_t>(1, 100));
  made.users = 1 + *rc::gen::inRange<std::int64_t>(0, 50);
  made.items = 1 + *rc::gen::inRange<std::int64_t>(0, 50);
  if (made.size < 100 && *rc::gen::arbitrary<bool>()) {  // so many that most samples have rows of their own
    made.users += 64 * made.size;
    made.items += 64 * made.size * (1 + made.negatives);
  }
  made.step.kind = *rc::gen::element(Optimizer::sgd, Optimizer::adagrad, Optimizer::rowwise_adagrad, Optimizer::adam,
                                     Optimizer::adamw);
  made.step.learning_rate = 0.05F;
  made.step.epsilon = usual_epsilon(made.step.kind);
  made.step.weight_decay = *rc::gen::element(0.0F, 0.02F);
  made.seed = *rc::gen::arbitrary<std::uint64_t>();
  return made;
}

TEST(FactorSteps, EveryInstructionSetAndThreadCountGivesTheSameBits) {
  EXPECT_TRUE(rc::check([] {
    const Case of = any_case();
    const State scalar = under(Isa::scalar, [&] { return after(of); });
    for (const Isa isa : wide_isas()) {
      RC_ASSERT(under(isa, [&] { return after(of); }) == scalar);
      omp_set_num_threads(3);
      const State shared = under(isa, [&] { return after(of); });
      omp_set_num_threads(1);
      RC_ASSERT(shared == scalar);
    }
  }));
}

/// The objective in fp64, regularisation included; `loss` without it.
double objective(const Case& of, const State& at, const Ids& made, double& loss) {
  double total = 0;
  loss = 0;
  const auto dot = [&](std::int64_t u, std::int64_t i) {
    double sum = of.has_bias ? at.bias[i] : 0.0;
    for (std::int64_t d = 0; d < of.dim; ++d) sum += double{at.users[u * of.dim + d]} * at.items[i * of.dim + d];
    return sum;
  };
  const auto decay = [&](const std::vector<float>& table, std::int64_t row, std::int64_t dim) {
    double sum = 0;
    for (std::int64_t d = 0; d < dim; ++d) sum += double{table[row * dim + d]} * table[row * dim + d];
    return of.step.weight_decay / 2.0 * sum;
  };
  for (std::int64_t t = 0; t < of.size; ++t) {
    const double weight = of.is_weighted ? made.weights[t] : 1.0;
    const std::int64_t u = made.users[t], p = made.positives[t];
    double one = 0, places = decay(at.users, u, of.dim) + decay(at.items, p, of.dim);
    if (of.has_bias) places += decay(at.bias, p, 1);
    double sum = std::exp(dot(u, p) - (of.has_log_q ? made.log_q[t] : 0.0));
    const double positive = std::log(sum);
    for (std::int64_t k = 0; k < of.negatives; ++k) {
      const std::int64_t n = made.negatives[t * of.negatives + k];
      places += decay(at.items, n, of.dim);
      if (of.has_bias) places += decay(at.bias, n, 1);
      one += std::log1p(std::exp(-(dot(u, p) - dot(u, n)))) / static_cast<double>(of.negatives);
      if (n != p) sum += std::exp(dot(u, n) - (of.has_log_q ? made.negative_log_q[t * of.negatives + k] : 0.0));
    }
    if (of.is_softmax) one = std::log(sum) - positive;
    loss += weight * one;
    total += weight * (one + places);
  }
  return total;
}

/// With SGD the change of a row is -rate times the derivative of the objective by it: central differences tell it.
TEST(FactorSteps, FollowTheGradientOfTheObjective) {
  EXPECT_TRUE(rc::check([] {
    Case of = any_case();
    of.step.kind = Optimizer::sgd;
    of.size = std::min<std::int64_t>(of.size, 60);
    if (of.size == 0) return;
    const State from = before(of), to = after(of);
    const Ids made = ids_of(of);
    double loss = 0, unused = 0;
    objective(of, from, made, loss);
    RC_ASSERT(std::abs(to.loss - loss) <= 2e-5 * (1 + loss));
    for (int probe = 0; probe < 6; ++probe)
      for (std::vector<float> State::*table : {&State::users, &State::items, &State::bias}) {
        if ((from.*table).empty()) continue;
        const auto at = random::below(random::bits(of.seed, 11, probe), std::ssize(from.*table));
        State moved = from;
        constexpr float kStep = 1.0F / 256;
        (moved.*table)[at] = (from.*table)[at] + kStep;
        const double above_at = (moved.*table)[at], above = objective(of, moved, made, unused);
        (moved.*table)[at] = (from.*table)[at] - kStep;
        const double slope = (above - objective(of, moved, made, unused)) / (above_at - (moved.*table)[at]);
        const double change = (double{(to.*table)[at]} - (from.*table)[at]) / -of.step.learning_rate;
        RC_ASSERT(std::abs(change - slope) <= 2e-4 * (1 + std::abs(slope)) * std::sqrt(static_cast<double>(of.size)));
      }
  }));
}

/// The hardest negative alone: what a batch of these negatives gives, and nothing for the others.
TEST(FactorSteps, TheHardestNegativeStandsForAll) {
  EXPECT_TRUE(rc::check([] {
    Case of = any_case();
    of.is_softmax = of.has_log_q = false;
    State state = before(of);
    const Ids made = ids_of(of);
    const FactorTables tables{state.users.data(),
                              state.items.data(),
                              of.has_bias ? state.bias.data() : nullptr,
                              nullptr,
                              nullptr,
                              nullptr,
                              of.users,
                              of.items,
                              of.dim};
    FactorScratch all, one;
    bpr_gradients(tables, {made.users, made.positives, made.negatives, made.weights}, BprNegatives::hardest, all);
    std::vector<std::int64_t> hardest;
    for (std::int64_t t = 0; t < of.size; ++t) {
      std::int64_t chosen = -1;
      for (std::int64_t k = 0; k < of.negatives; ++k)
        if (all.coefficients[t * (1 + of.negatives) + 1 + k] != 0) {
          RC_ASSERT(chosen == -1);
          chosen = k;
        }
      // A weight of 0 leaves none to be seen; the first of equals is as good as any.
      hardest.push_back(made.negatives[t * of.negatives + std::max<std::int64_t>(chosen, 0)]);
    }
    const double loss =
        bpr_gradients(tables, {made.users, made.positives, hardest, made.weights}, BprNegatives::all, one);
    for (std::int64_t t = 0; t < of.size; ++t) {
      if (!made.weights.empty() && made.weights[t] == 0) continue;
      RC_ASSERT(all.losses[t] == one.losses[t]);
      RC_ASSERT(all.coefficients[t * (1 + of.negatives)] == one.coefficients[2 * t]);
      for (std::int64_t k = 0; k < of.negatives; ++k) {
        FactorScratch other;
        const std::vector<std::int64_t> alone{made.negatives[t * of.negatives + k]};
        bpr_gradients(tables, {std::span(made.users).subspan(t, 1), std::span(made.positives).subspan(t, 1), alone, {}},
                      BprNegatives::all, other);
        FactorScratch chosen;
        bpr_gradients(tables,
                      {std::span(made.users).subspan(t, 1),
                       std::span(made.positives).subspan(t, 1),
                       std::span(hardest).subspan(t, 1),
                       {}},
                      BprNegatives::all, chosen);
        RC_ASSERT(other.losses[0] <= chosen.losses[0]);  // the loss rises with the negative's score
      }
      if (t == 20) break;  // enough of a long batch
    }
    RC_ASSERT(std::isfinite(loss));
  }));
}

TEST(FactorSteps, ARowThatIsNotFiniteIsNamed) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<std::int64_t> user{1, 0}, positive{2, 0};
  OptimizerStep step;
  step.learning_rate = 0.1F;
  for (const std::int64_t users : {2, 1000})  // shared rows, and rows that each sample has alone
    for (Isa isa = Isa::scalar; isa <= best_isa(); isa = static_cast<Isa>(static_cast<int>(isa) + 1)) {
      const std::int64_t items = 2 * users, far = users > 2 ? 5 : 0;  // the second negative is another one then
      const std::vector<std::int64_t> other{1, 1 + far};
      const auto stepped = [&](std::int64_t bad_user, std::int64_t bad_item) {
        std::vector<float> of_users(2 * users, 1), of_items(2 * items, 1);
        if (bad_user >= 0) of_users[2 * bad_user] = kInfinity;
        if (bad_item >= 0) of_items[2 * bad_item] = kInfinity;
        FactorScratch scratch;
        return under(isa, [&] {
          return bpr_step(step, {of_users.data(), of_items.data(), nullptr, nullptr, nullptr, nullptr, users, items, 2},
                          {user, positive, other, {}}, scratch);
        });
      };
      const FactorStep by_user = stepped(1, -1), by_item = stepped(-1, 0);
      EXPECT_EQ(by_user.bad_table, FactorStep::Table::items) << name_of(isa) << ", " << users << " users";
      EXPECT_EQ(by_user.bad_row, 1) << name_of(isa) << ", " << users << " users";
      EXPECT_EQ(by_item.bad_table, FactorStep::Table::users) << name_of(isa) << ", " << users << " users";
      EXPECT_EQ(by_item.bad_row, 0) << name_of(isa) << ", " << users << " users";
    }
}

}  // namespace
}  // namespace swallowtail
