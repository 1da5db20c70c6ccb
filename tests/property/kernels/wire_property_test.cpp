// Every instruction set sends and reads the same bytes, NaN, infinities and denormal numbers among them.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <bit>
#include <cmath>
#include <vector>

#include "kernels/random.h"
#include "kernels/wire.h"
#include "tests/unit/kernels/every_isa.h"

namespace swallowtail {
namespace {

struct Travelled {
  std::vector<std::byte> bytes;
  std::vector<std::uint32_t> values;  // bits: a NaN equals itself
  bool operator==(const Travelled&) const = default;
};

TEST(Wire, IsTheSameUnderEveryInstructionSet) {
  EXPECT_TRUE(rc::check([] {
    const auto wire = *rc::gen::element(Wire::fp32, Wire::bf16, Wire::fp16, Wire::int8);
    const auto vectors = *rc::gen::inRange<std::int64_t>(0, 12), cols = *rc::gen::inRange<std::int64_t>(1, 90);
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const auto kind = *rc::gen::element(0, 1, 2);  // usual numbers, any size, any bits
    std::vector<float> values(vectors * cols);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::uint64_t draw = random::bits(seed, 1, i);
      values[i] = static_cast<float>(random::normal(draw));
      if (kind == 1) values[i] = std::ldexp(values[i], static_cast<int>(draw % 280) - 145);
      if (kind == 2) values[i] = std::bit_cast<float>(static_cast<std::uint32_t>(draw));
    }
    const auto travel = [&] {
      Travelled found{std::vector<std::byte>(wire_bytes(wire, vectors, cols)), {}};
      encode(wire, values.data(), vectors, cols, found.bytes.data());
      std::vector<float> out(values.size());
      decode(wire, found.bytes.data(), vectors, cols, out.data());
      for (const float value : out) found.values.push_back(std::bit_cast<std::uint32_t>(value));
      return found;
    };
    const Travelled scalar = under(Isa::scalar, travel);
    for (const Isa isa : wide_isas()) RC_ASSERT(under(isa, travel) == scalar);
  }));
}

}  // namespace
}  // namespace swallowtail
