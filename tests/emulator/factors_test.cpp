#include "kernels/cuda/factors.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/bpr.h"
#include "kernels/row_update.h"
#include "kernels/sampled_softmax.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

/// Two tables with their states, on the host; the same again on the device.
struct Factors {
  std::int64_t user_rows, item_rows, dim;
  bool has_bias;
  std::vector<float> users, items, bias, user_state, item_state, bias_state;

  FactorTables view() {
    return {users.data(),      items.data(),      has_bias ? bias.data() : nullptr,
            user_state.data(), item_state.data(), has_bias ? bias_state.data() : nullptr,
            user_rows,         item_rows,         dim};
  }
};

struct Case {
  OptimizerStep step;
  Factors factors;
  std::int64_t size, negatives_each;
  std::vector<std::int64_t> users, positives, negatives;
  std::vector<float> weights, log_q_positives, log_q_negatives;

  TripletBatch batch() const { return {users, positives, negatives, weights}; }
};

Case make_case(std::uint64_t seed) {
  Case made;
  made.step.kind = static_cast<Optimizer>(below(seed, 1, 5));
  made.step.learning_rate = 0.05F;
  made.step.epsilon = usual_epsilon(made.step.kind);
  made.step.weight_decay = below(seed, 2, 2) ? 0.01F : 0.0F;
  made.step.step = 1 + below(seed, 3, 100);
  Factors& of = made.factors;
  const std::vector<std::int64_t> dims{1, 3, 8, 16, 20, 64, 130};
  of.dim = dims[static_cast<std::size_t>(below(seed, 4, std::ssize(dims)))];
  of.user_rows = 1 + below(seed, 5, 20);
  of.item_rows = 1 + below(seed, 6, 30);
  of.has_bias = below(seed, 7, 2) != 0;
  const auto states = [&](std::uint64_t purpose, std::int64_t rows, std::int64_t dim) {
    auto values = testing::values(seed, purpose, rows * sparse_state_width(made.step.kind, dim));
    for (float& value : values) value = std::abs(value);
    return values;
  };
  of.users = testing::values(seed, 10, of.user_rows * of.dim);
  of.items = testing::values(seed, 11, of.item_rows * of.dim);
  of.bias = testing::values(seed, 12, of.item_rows);
  of.user_state = states(13, of.user_rows, of.dim);
  of.item_state = states(14, of.item_rows, of.dim);
  of.bias_state = states(15, of.item_rows, 1);
  made.size = below(seed, 16, 5) == 0 ? below(seed, 17, 2) : below(seed, 17, 24);
  made.negatives_each = 1 + below(seed, 18, below(seed, 19, 3) ? 3 : 20);
  for (std::int64_t t = 0; t < made.size; ++t) {
    const auto key = random::bits(seed, 20, static_cast<std::uint64_t>(t));
    made.users.push_back(below(key, 1, of.user_rows));
    made.positives.push_back(below(key, 2, of.item_rows));
    for (std::int64_t k = 0; k < made.negatives_each; ++k)
      made.negatives.push_back(below(key, 3 + static_cast<std::uint64_t>(k), of.item_rows));
  }
  if (below(seed, 21, 2)) made.weights = testing::values(seed, 22, made.size);
  for (float& weight : made.weights) weight = std::abs(weight);
  if (below(seed, 23, 2)) {
    made.log_q_positives = testing::values(seed, 24, made.size);
    made.log_q_negatives = testing::values(seed, 25, made.size * made.negatives_each);
  }
  // A factor beyond all numbers: its rows must be named and left alone.
  if (below(seed, 26, 5) == 0) of.users[0] = std::numeric_limits<float>::infinity();
  return made;
}

/// The tables on the device, and one step there.
struct OnDevice {
  explicit OnDevice(const Factors& of)
      : users(there(of.users)),
        items(there(of.items)),
        bias(there(of.bias)),
        user_state(there(of.user_state)),
        item_state(there(of.item_state)),
        bias_state(there(of.bias_state)),
        steps({users.data(), items.data(), of.has_bias ? bias.data() : nullptr, user_state.data(), item_state.data(),
               of.has_bias ? bias_state.data() : nullptr, of.user_rows, of.item_rows, of.dim},
              stream) {}

  FactorResult step(const Case& from, bool is_bpr, const FactorUpdate& update) {
    const auto user_ids = there(from.users), positives = there(from.positives), negatives = there(from.negatives);
    const auto weights = there(from.weights), log_q_positives = there(from.log_q_positives),
               log_q_negatives = there(from.log_q_negatives);
    const DeviceTriplets batch{from.size,        from.negatives_each, user_ids.data(),
                               positives.data(), negatives.data(),    from.weights.empty() ? nullptr : weights.data()};
    DeviceBuffer<FactorResult> result(1);
    if (is_bpr) {
      steps.bpr(update, batch, result.data(), stream);
    } else {
      const bool corrects = !from.log_q_positives.empty();
      steps.sampled_softmax(update, batch,
                            {corrects ? log_q_positives.data() : nullptr, corrects ? log_q_negatives.data() : nullptr},
                            result.data(), stream);
    }
    return testing::on_host(result, stream)[0];
  }

  /// Every array beside the host's, after a step of `from`.
  void expect_equal(const Factors& of, const Case& from, bool same_bits, const char* step) {
    const auto expect = [&](const char* what, const std::vector<float>& of_host, const DeviceBuffer<float>& of_device) {
      const auto values = testing::on_host(of_device, stream);
      EXPECT_TRUE(same_bits ? testing::same_bits(of_host, values) : testing::near(of_host, values, 2e-4F, 2e-4F))
          << what << ", dim " << of.dim << ", batch " << from.size << " x " << from.negatives_each << ", optimizer "
          << int(from.step.kind) << ", " << step;
    };
    expect("users", of.users, users);
    expect("items", of.items, items);
    expect("bias", of.bias, bias);
    expect("state of users", of.user_state, user_state);
    expect("state of items", of.item_state, item_state);
    expect("state of bias", of.bias_state, bias_state);
  }

  template <typename T>
  DeviceBuffer<T> there(const std::vector<T>& values) {
    return testing::on_device(values, stream);
  }

  Stream stream;
  DeviceBuffer<float> users, items, bias, user_state, item_state, bias_state;
  FactorSteps steps;
};

void expect_loss(double wanted, double got) {
  if (std::isfinite(wanted)) {
    EXPECT_NEAR(got, wanted, 1e-9 * std::abs(wanted) + 1e-12);
  } else {
    EXPECT_FALSE(std::isfinite(got));
  }
}

void compare(const Case& from, bool is_bpr, std::int64_t long_segment, bool same_bits) {
  Case host = from;
  FactorScratch scratch;
  const SamplingLogQ log_q{host.log_q_positives, host.log_q_negatives};
  const FactorStep wanted = is_bpr ? bpr_step(host.step, host.factors.view(), host.batch(), scratch)
                                   : sampled_softmax_step(host.step, host.factors.view(), host.batch(), log_q, scratch);
  OnDevice device(from.factors);
  device.steps.long_segment = long_segment;
  const FactorResult got = device.step(from, is_bpr, {.step = from.step});
  expect_loss(wanted.loss, got.loss);
  const auto row_of = [&](FactorStep::Table table) {
    return wanted.bad_table == table ? static_cast<unsigned long long>(wanted.bad_row) : kNoBadRow;
  };
  if (wanted.bad_table == FactorStep::Table::items || wanted.bad_table == FactorStep::Table::none) {
    EXPECT_EQ(got.bad_item, row_of(FactorStep::Table::items));
  }
  if (wanted.bad_table == FactorStep::Table::users || wanted.bad_table == FactorStep::Table::none) {
    EXPECT_EQ(got.bad_user, row_of(FactorStep::Table::users));
  }
  device.expect_equal(host.factors, from, same_bits, is_bpr ? "bpr" : "softmax");
}

/// The step as a training run takes it: gradients, then each table's rows with its own optimizer, decayed once a row.
/// `optimizers`: of users, items and bias. Bad rows of each table, -1: none.
struct RunStep {
  std::vector<float> losses;
  std::int64_t bad_user = -1, bad_item = -1, bad_bias = -1;
};
RunStep step_of_run(const Case& from, const OptimizerStep (&optimizers)[3], BprNegatives negatives, Factors& of) {
  FactorScratch scratch;
  bpr_gradients(of.view(), from.batch(), negatives, scratch);
  RunStep done;
  done.losses = scratch.losses;
  std::vector<std::int64_t> items, item_offsets{0}, user_offsets{0};
  std::vector<const float*> user_rows, ones, gradients;
  const float one = 1;
  for (std::int64_t t = 0; t < from.size; ++t) {
    items.push_back(from.positives[static_cast<std::size_t>(t)]);
    items.insert(items.end(), from.negatives.begin() + t * from.negatives_each,
                 from.negatives.begin() + (t + 1) * from.negatives_each);
    item_offsets.push_back(std::ssize(items));
    user_offsets.push_back(t + 1);
    user_rows.push_back(of.users.data() + from.users[static_cast<std::size_t>(t)] * of.dim);
    ones.push_back(&one);
    gradients.push_back(scratch.user_gradients.data() + t * of.dim);
  }
  RowGroups groups;
  group_by_row({items, item_offsets, scratch.coefficients}, of.item_rows, Pooling::sum, groups);
  done.bad_item = update_rows(optimizers[1], {of.items.data(), of.item_state.data(), of.dim}, groups, user_rows);
  if (of.has_bias) done.bad_bias = update_rows(optimizers[2], {of.bias.data(), of.bias_state.data(), 1}, groups, ones);
  group_by_row({from.users, user_offsets, {}}, of.user_rows, Pooling::sum, groups);
  done.bad_user = update_rows(optimizers[0], {of.users.data(), of.user_state.data(), of.dim}, groups, gradients);
  return done;
}

TEST(FactorStepsOnDevice, HaveTheBitsOfTheHost) {
  testing::for_seeds("factor steps equal the host's", [](std::uint64_t seed) {
    const Case made = make_case(seed);
    compare(made, true, 0, true);
    compare(made, false, 0, true);
  });
}

TEST(FactorStepsOnDevice, HaveTheBitsOfATrainingRunsStep) {
  testing::for_seeds("steps of a run equal the host's", [](std::uint64_t seed) {
    const Case made = make_case(seed);
    for (const BprNegatives negatives : {BprNegatives::all, BprNegatives::hardest}) {
      OptimizerStep optimizers[3] = {made.step, made.step, made.step};
      optimizers[1].learning_rate = 0.2F;
      optimizers[2].weight_decay = 0;
      Case host = made;
      const RunStep wanted = step_of_run(made, optimizers, negatives, host.factors);

      OnDevice device(made.factors);
      device.steps.long_segment = 0;
      const auto rates =
          device.there(std::vector<Rates>{Rates(optimizers[0]), Rates(optimizers[1]), Rates(optimizers[2])});
      const FactorResult got =
          device.step(made, true, {.rates = rates.data(), .decays_rows_once = true, .negatives = negatives});
      expect_loss(std::accumulate(wanted.losses.begin(), wanted.losses.end(), 0.0), got.loss);
      std::vector<float> losses(wanted.losses.size());
      copy_to_host(losses.data(), device.steps.losses(), std::ssize(losses), device.stream);
      device.stream.wait();
      EXPECT_TRUE(testing::same_bits(wanted.losses, losses));
      const auto row_of = [](std::int64_t row) { return row < 0 ? kNoBadRow : static_cast<unsigned long long>(row); };
      EXPECT_EQ(got.bad_user, row_of(wanted.bad_user));
      EXPECT_EQ(got.bad_item, row_of(wanted.bad_item));
      EXPECT_EQ(got.bad_bias, row_of(wanted.bad_bias));
      device.expect_equal(host.factors, made, true, negatives == BprNegatives::all ? "all" : "hardest");
    }
  });
}

TEST(FactorStepsOnDevice, TakeTheFirstOfEquallyHardNegatives) {
  Case made = make_case(3);
  made.factors = {1, 3, 2, false, {1, 2}, {1, 1, 0.5F, 0.5F, 1, 1}, {}, {}, {}, {}};
  made.step = {.kind = Optimizer::sgd, .learning_rate = 0.5F};
  made.size = 1;
  made.negatives_each = 20;
  made.users = {0};
  made.positives = {1};
  made.negatives.assign(20, 1);
  made.negatives[4] = 2;  // the best, before its equals
  made.negatives[17] = made.negatives[18] = 0;
  made.weights.clear();
  OnDevice device(made.factors);
  device.step(made, true, {.step = made.step, .negatives = BprNegatives::hardest});
  const auto items = testing::on_host(device.items, device.stream);
  EXPECT_EQ(items[0], 1) << "a later equal was taken";
  EXPECT_NE(items[4], 1) << "the first was not";
}

TEST(FactorStepsOnDevice, SplitPopularRowsTheSameWayWhateverTheOrder) {
  testing::for_seeds("popular rows", [](std::uint64_t seed) {
    Case made = make_case(seed);
    made.factors.users[0] = 0.5F;
    made.step.kind = Optimizer::sgd;
    testing::under_every_schedule([&] { compare(made, true, 1 + below(seed, 50, 9), false); });
  });
}

}  // namespace
}  // namespace swallowtail::cuda
