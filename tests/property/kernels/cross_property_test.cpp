#include <gtest/gtest.h>
#include <omp.h>
#include <rapidcheck.h>

#include <cmath>
#include <vector>

#include "kernels/cross.h"
#include "kernels/random.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

std::vector<float> floats(std::uint64_t seed, std::uint64_t purpose, std::int64_t size) {
  std::vector<float> made(size);
  for (std::int64_t i = 0; i < size; ++i) made[i] = static_cast<float>(random::normal(random::bits(seed, purpose, i)));
  return made;
}

struct Passes {
  std::vector<float> y, grad_h, grad_x0, grad_bias;
  bool operator==(const Passes&) const = default;
};

/// The formulas, and every instruction set and number of threads with the scalar one's bits.
TEST(CrossLayer, IsItsFormulaWithTheSameBitsEverywhere) {
  EXPECT_TRUE(rc::check([] {
    const CrossShape shape{*rc::gen::element<std::int64_t>(0, 1, 5, 300), *rc::gen::inRange<std::int64_t>(1, 600)};
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const std::int64_t size = shape.batch * shape.dim;
    const auto x0 = floats(seed, 1, size), x = floats(seed, 2, size), h = floats(seed, 3, size),
               bias = floats(seed, 4, shape.dim), grad_y = floats(seed, 5, size), before = floats(seed, 6, size);
    const auto run = [&] {
      Passes passes{std::vector<float>(size), std::vector<float>(size), before, std::vector<float>(shape.dim, -7)};
      cross_forward(shape, x0.data(), x.data(), h.data(), bias.data(), passes.y.data());
      cross_backward(shape, x0.data(), h.data(), bias.data(), grad_y.data(),
                     {passes.grad_h.data(), passes.grad_x0.data(), passes.grad_bias.data()});
      return passes;
    };
    const Passes scalar = under(Isa::scalar, run);
    for (const Isa isa : wide_isas()) {
      RC_ASSERT(under(isa, run) == scalar);
      omp_set_num_threads(3);
      const Passes shared = under(isa, run);
      omp_set_num_threads(1);
      RC_ASSERT(shared == scalar);
    }
    std::vector<float> sums(shape.dim);
    for (std::int64_t i = 0; i < size; ++i) {
      const std::int64_t d = i % shape.dim;
      RC_ASSERT(scalar.y[i] == x0[i] * (h[i] + bias[d]) + x[i]);
      RC_ASSERT(scalar.grad_h[i] == grad_y[i] * x0[i]);
      RC_ASSERT(scalar.grad_x0[i] == before[i] + grad_y[i] * (h[i] + bias[d]));
      sums[d] += grad_y[i] * x0[i];
    }
    RC_ASSERT(scalar.grad_bias == sums);
  }));
}

}  // namespace
}  // namespace swallowtail
