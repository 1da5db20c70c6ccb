// Lookup and row update: every instruction set and number of threads gives the bits of the scalar body, and that gives
// what a plain sum in fp64 says.
#include <gtest/gtest.h>
#include <omp.h>
#include <rapidcheck.h>

#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "kernels/embedding.h"
#include "kernels/random.h"
#include "kernels/row_update.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

struct Bags {
  std::vector<std::int64_t> values, offsets;
  std::vector<float> weights;
  JaggedView view() const { return {values, offsets, weights}; }
};

Bags random_bags(std::uint64_t seed, std::int64_t bags, std::int64_t most_ids, std::int64_t rows, bool weighted) {
  Bags made;
  const std::int64_t first = random::below(random::bits(seed, 1), 4);     // a slice: ids before the first bag
  const std::int64_t least_ids = most_ids == 1 && seed % 2 == 0 ? 1 : 0;  // often one id in each
  made.values.assign(first, 0);
  made.offsets.push_back(first);
  for (std::int64_t bag = 0; bag < bags; ++bag) {
    const std::int64_t ids = least_ids + random::below(random::bits(seed, 2, bag), most_ids + 1 - least_ids);
    for (std::int64_t i = 0; i < ids; ++i) made.values.push_back(random::below(random::bits(seed, 3, bag, i), rows));
    made.offsets.push_back(std::ssize(made.values));
  }
  if (weighted)
    for (std::size_t i = 0; i < made.values.size(); ++i)
      made.weights.push_back(static_cast<float>(random::normal(random::bits(seed, 4, i))));
  return made;
}

std::vector<float> random_floats(std::uint64_t seed, std::size_t size) {
  std::vector<float> made(size);
  for (std::size_t i = 0; i < size; ++i) made[i] = static_cast<float>(random::normal(random::bits(seed, 5, i)));
  return made;
}

std::int64_t any_dim() {
  return *rc::gen::oneOf(rc::gen::element<std::int64_t>(16, 32, 64, 128), rc::gen::inRange<std::int64_t>(1, 300));
}

TEST(PooledLookup, EveryInstructionSetGivesTheSameBits) {
  EXPECT_TRUE(rc::check([] {
    const auto format = *rc::gen::element(RowFormat::fp32, RowFormat::bf16, RowFormat::fp16, RowFormat::int8);
    const auto pooling = *rc::gen::element(Pooling::sum, Pooling::mean, Pooling::none);
    const std::int64_t dim = any_dim(), rows = 1 + *rc::gen::inRange<std::int64_t>(0, 60);
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const Bags bags = random_bags(seed, *rc::gen::element<std::int64_t>(0, 1, 5, 40, 300),
                                  *rc::gen::element<std::int64_t>(0, 1, 3, 30), rows, *rc::gen::arbitrary<bool>());
    const std::int64_t bytes = row_bytes(format, dim);
    std::vector<float> plain = random_floats(seed, rows * dim), unpacked(rows * dim);
    std::vector<std::uint32_t> packed((rows * bytes) / 4);
    auto* const table = reinterpret_cast<std::byte*>(packed.data());
    for (std::int64_t row = 0; row < rows; ++row) {
      pack_row(format, plain.data() + row * dim, dim, table + row * bytes);
      unpack_row(format, table + row * bytes, dim, unpacked.data() + row * dim);
    }
    const JaggedView view = bags.view();
    const std::int64_t ids = view.offsets.back() - view.offsets.front();
    const std::int64_t vectors = pooling == Pooling::none ? ids : view.bags();
    const auto lookup = [&] {
      std::vector<float> out(vectors * dim + 32, -7);
      pooled_lookup_forward({table, format, rows, dim}, view, pooling, out.data());
      return out;
    };
    const std::vector<float> scalar = under(Isa::scalar, lookup);
    for (int i = 0; i < 32; ++i) RC_ASSERT(scalar[vectors * dim + i] == -7);
    for (const Isa isa : wide_isas()) {
      RC_ASSERT(under(isa, lookup) == scalar);
      RC_ASSERT(under(isa, [&] {
                  omp_set_num_threads(3);
                  auto out = lookup();
                  omp_set_num_threads(1);
                  return out;
                }) == scalar);
      // The same rows, wherever they lie, into wider rows of the output.
      RC_ASSERT(under(isa, [&] {
                  std::vector<const float*> places(bags.values.size());
                  for (std::size_t i = 0; i < places.size(); ++i) places[i] = unpacked.data() + bags.values[i] * dim;
                  std::vector<float> wide(vectors * (dim + 3) + 32, -7), out;
                  pool_rows(places, view, pooling, dim, dim + 3, wide.data());
                  for (std::int64_t v = 0; v < vectors; ++v)
                    out.insert(out.end(), wide.begin() + v * (dim + 3), wide.begin() + v * (dim + 3) + dim);
                  out.insert(out.end(), 32, -7);
                  return out;
                }) == scalar);
    }
    if (pooling == Pooling::none) return;
    for (std::int64_t bag = 0; bag < view.bags(); ++bag)
      for (std::int64_t d = 0; d < dim; ++d) {
        double sum = 0, size = 0;
        const std::int64_t begin = view.offsets[bag], end = view.offsets[bag + 1];
        for (std::int64_t i = begin; i < end; ++i) {
          const double term = (view.weights.empty() ? 1.0 : view.weights[i]) * unpacked[bags.values[i] * dim + d];
          sum += term;
          size += std::abs(term);
        }
        if (pooling == Pooling::mean && end > begin) sum /= static_cast<double>(end - begin);
        RC_ASSERT(std::abs(scalar[bag * dim + d] - sum) <= 1e-5 * (size + 1e-6));
      }
  }));
}

struct UpdateCase {
  OptimizerStep step;
  std::int64_t dim, rows;
  Pooling pooling;
  Bags bags;
  std::uint64_t seed;
};

UpdateCase any_update() {
  UpdateCase made;
  made.step.kind = *rc::gen::element(Optimizer::sgd, Optimizer::adagrad, Optimizer::rowwise_adagrad, Optimizer::adam,
                                     Optimizer::adamw);
  made.step.learning_rate = 0.1F;
  made.step.epsilon = usual_epsilon(made.step.kind);
  made.step.weight_decay = *rc::gen::element(0.0F, 0.01F);
  made.step.step = *rc::gen::inRange(1, 20);
  made.dim = any_dim();
  made.rows = 1 + *rc::gen::inRange<std::int64_t>(0, 80);
  made.pooling = *rc::gen::element(Pooling::sum, Pooling::mean, Pooling::none);
  made.seed = *rc::gen::arbitrary<std::uint64_t>();
  made.bags = random_bags(made.seed, *rc::gen::element<std::int64_t>(0, 1, 5, 60, 400),
                          *rc::gen::element<std::int64_t>(0, 1, 3, 30), made.rows, *rc::gen::arbitrary<bool>());
  return made;
}

struct Updated {
  std::vector<float> weights, state;
  std::vector<std::uint32_t> packed;
  std::int64_t bad_row;
  bool operator==(const Updated&) const = default;
};

/// The rows of `of` after one step; one number of the gradient that `poisoned` names is `poison`.
Updated updated(const UpdateCase& of, std::optional<RowFormat> format, std::int64_t poisoned = -1, float poison = 0) {
  const std::int64_t width = sparse_state_width(of.step.kind, of.dim);
  Updated after{random_floats(of.seed ^ 1, of.rows * of.dim), random_floats(of.seed ^ 2, of.rows * width), {}, -1};
  for (float& s : after.state) s = std::abs(s);
  const JaggedView view = of.bags.view();
  const std::int64_t vectors = of.pooling == Pooling::none ? view.offsets.back() - view.offsets.front() : view.bags();
  std::vector<float> gradients = random_floats(of.seed ^ 3, vectors * of.dim);
  std::vector<const float*> pointers;
  for (std::int64_t v = 0; v < vectors; ++v) pointers.push_back(gradients.data() + v * of.dim);
  if (poisoned >= 0 && vectors > 0) gradients[(poisoned % vectors) * of.dim + poisoned % of.dim] = poison;
  RowGroups groups;
  group_by_row(view, of.rows, of.pooling, groups);
  if (!format) {
    after.bad_row = update_rows(of.step, {after.weights.data(), after.state.data(), of.dim}, groups, pointers);
    return after;
  }
  const std::int64_t bytes = row_bytes(*format, of.dim);
  after.packed.resize(of.rows * bytes / 4);
  auto* const table = reinterpret_cast<std::byte*>(after.packed.data());
  for (std::int64_t row = 0; row < of.rows; ++row)
    pack_row(*format, after.weights.data() + row * of.dim, of.dim, table + row * bytes);
  after.bad_row =
      update_rows(of.step, {table, *format, after.state.data(), of.dim}, {of.seed, 7, 100}, groups, pointers);
  return after;
}

TEST(RowUpdate, EveryInstructionSetAndThreadCountGivesTheSameBits) {
  EXPECT_TRUE(rc::check([] {
    const UpdateCase of = any_update();
    const auto format = *rc::gen::element<std::optional<RowFormat>>(std::nullopt, RowFormat::bf16, RowFormat::fp16);
    const auto poisoned = *rc::gen::element<std::int64_t>(-1, -1, 12345);
    // Of the last the squares alone are not finite: its row takes its step.
    const auto poison =
        *rc::gen::element(std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e30F);
    const auto run = [&] { return updated(of, format, poisoned, poison); };
    const Updated scalar = under(Isa::scalar, run);
    for (const Isa isa : wide_isas()) {
      RC_ASSERT(under(isa, run) == scalar);
      omp_set_num_threads(3);
      const Updated shared = under(isa, run);
      omp_set_num_threads(1);
      RC_ASSERT(shared == scalar);
    }
  }));
}

/// The fused update is the three steps that it fuses: gradient, decay, optimizer, on rows in any order.
TEST(RowUpdate, IsTheUpdateOfEachRowFromItsGradient) {
  EXPECT_TRUE(rc::check([] {
    const UpdateCase of = any_update();
    const Updated got = updated(of, {});
    UpdateCase none = of;
    none.bags.offsets.assign(1, none.bags.offsets[0]);
    Updated wanted = updated(none, {});  // the rows as they were
    const JaggedView view = of.bags.view();
    const std::int64_t vectors = of.pooling == Pooling::none ? view.offsets.back() - view.offsets.front() : view.bags();
    const std::vector<float> gradients = random_floats(of.seed ^ 3, vectors * of.dim);
    std::map<std::int64_t, std::vector<float>> sums;
    for (std::int64_t bag = 0; bag < view.bags(); ++bag)
      for (std::int64_t i = view.offsets[bag]; i < view.offsets[bag + 1]; ++i) {
        const auto size = static_cast<float>(view.offsets[bag + 1] - view.offsets[bag]);
        const float share = of.pooling == Pooling::mean ? 1.0F / size : 1.0F;
        const float scale = view.weights.empty() ? share : share * view.weights[i];
        const std::int64_t vector = of.pooling == Pooling::none ? i - view.offsets[0] : bag;
        auto& sum = sums[view.values[i]];
        sum.resize(of.dim);
        for (std::int64_t d = 0; d < of.dim; ++d) sum[d] += scale * gradients[vector * of.dim + d];
      }
    const std::int64_t width = sparse_state_width(of.step.kind, of.dim);
    for (auto& [row, sum] : sums)
      update_row(of.step, of.dim, wanted.weights.data() + row * of.dim, sum.data(), wanted.state.data() + row * width);
    RC_ASSERT(got == wanted);
  }));
}

}  // namespace
}  // namespace swallowtail
