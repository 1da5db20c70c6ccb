#include "kernels/cuda/factors.h"

#include <cmath>
#include <limits>

#include "kernels/bpr.h"
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

void compare(const Case& from, bool is_bpr, std::int64_t long_segment, bool same_bits) {
  Case host = from;
  FactorScratch scratch;
  const SamplingLogQ log_q{host.log_q_positives, host.log_q_negatives};
  const FactorStep wanted = is_bpr ? bpr_step(host.step, host.factors.view(), host.batch(), scratch)
                                   : sampled_softmax_step(host.step, host.factors.view(), host.batch(), log_q, scratch);

  Stream stream;
  const Factors& of = from.factors;
  const auto there = [&](const auto& values) { return testing::on_device(values, stream); };
  const auto users = there(of.users), items = there(of.items), bias = there(of.bias), user_state = there(of.user_state),
             item_state = there(of.item_state), bias_state = there(of.bias_state);
  const auto user_ids = there(from.users), positives = there(from.positives), negatives = there(from.negatives);
  const auto weights = there(from.weights), log_q_positives = there(from.log_q_positives),
             log_q_negatives = there(from.log_q_negatives);
  FactorSteps steps({users.data(), items.data(), of.has_bias ? bias.data() : nullptr, user_state.data(),
                     item_state.data(), of.has_bias ? bias_state.data() : nullptr, of.user_rows, of.item_rows, of.dim},
                    stream);
  steps.long_segment = long_segment;
  const DeviceTriplets batch{from.size,        from.negatives_each, user_ids.data(),
                             positives.data(), negatives.data(),    from.weights.empty() ? nullptr : weights.data()};
  DeviceBuffer<FactorResult> result(1);
  if (is_bpr) {
    steps.bpr(from.step, batch, result.data(), stream);
  } else {
    const bool corrects = !from.log_q_positives.empty();
    steps.sampled_softmax(from.step, batch,
                          {corrects ? log_q_positives.data() : nullptr, corrects ? log_q_negatives.data() : nullptr},
                          result.data(), stream);
  }
  const FactorResult got = testing::on_host(result, stream)[0];
  if (std::isfinite(wanted.loss)) {
    EXPECT_NEAR(got.loss, wanted.loss, 1e-9 * std::abs(wanted.loss) + 1e-12);
  } else {
    EXPECT_FALSE(std::isfinite(got.loss));
  }
  const auto row_of = [&](FactorStep::Table table) {
    return wanted.bad_table == table ? static_cast<unsigned long long>(wanted.bad_row) : kNoBadRow;
  };
  if (wanted.bad_table == FactorStep::Table::items || wanted.bad_table == FactorStep::Table::none) {
    EXPECT_EQ(got.bad_item, row_of(FactorStep::Table::items));
  }
  if (wanted.bad_table == FactorStep::Table::users || wanted.bad_table == FactorStep::Table::none) {
    EXPECT_EQ(got.bad_user, row_of(FactorStep::Table::users));
  }
  const auto expect = [&](const char* what, const std::vector<float>& of_host, const DeviceBuffer<float>& of_device) {
    const auto values = testing::on_host(of_device, stream);
    EXPECT_TRUE(same_bits ? testing::same_bits(of_host, values) : testing::near(of_host, values, 2e-4F, 2e-4F))
        << what << ", dim " << of.dim << ", batch " << from.size << " x " << from.negatives_each << ", optimizer "
        << int(from.step.kind) << (is_bpr ? ", bpr" : ", softmax");
  };
  expect("users", host.factors.users, users);
  expect("items", host.factors.items, items);
  expect("bias", host.factors.bias, bias);
  expect("state of users", host.factors.user_state, user_state);
  expect("state of items", host.factors.item_state, item_state);
  expect("state of bias", host.factors.bias_state, bias_state);
}

TEST(FactorStepsOnDevice, HaveTheBitsOfTheHost) {
  testing::for_seeds("factor steps equal the host's", [](std::uint64_t seed) {
    const Case made = make_case(seed);
    compare(made, true, 0, true);
    compare(made, false, 0, true);
  });
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
