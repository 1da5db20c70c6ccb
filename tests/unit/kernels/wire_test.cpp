#include "kernels/wire.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/random.h"

namespace swallowtail {
namespace {

constexpr std::array kWires{Wire::fp32, Wire::bf16, Wire::fp16, Wire::int8};

std::vector<float> through(Wire wire, const std::vector<float>& values, std::int64_t cols) {
  const std::int64_t vectors = static_cast<std::int64_t>(values.size()) / cols;
  std::vector<std::byte> bytes(static_cast<std::size_t>(wire_bytes(wire, vectors, cols)));
  encode(wire, values.data(), vectors, cols, bytes.data());
  std::vector<float> out(values.size());
  decode(wire, bytes.data(), vectors, cols, out.data());
  return out;
}

TEST(Wire, ErrorsStayWithinTheStatedBounds) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const std::int64_t cols = 1 + random::below(random::bits(seed, 1), 40),
                       vectors = random::below(random::bits(seed, 2), 9);
    const double size = std::pow(10.0, -12 + 20 * random::uniform(random::bits(seed, 3)));
    std::vector<float> values;
    float largest = 0;
    for (std::int64_t i = 0; i < vectors * cols; ++i) {
      const double spread = std::pow(10.0, -6 * random::uniform(random::bits(seed, 4, static_cast<std::uint64_t>(i))));
      values.push_back(
          static_cast<float>(size * spread * random::normal(random::bits(seed, 5, static_cast<std::uint64_t>(i)))));
      largest = std::max(largest, std::abs(values.back()));
    }
    EXPECT_EQ(through(Wire::fp32, values, cols), values);
    const auto bf16 = through(Wire::bf16, values, cols), fp16 = through(Wire::fp16, values, cols),
               int8 = through(Wire::int8, values, cols);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(i) / cols * cols;
      float row = 0;
      std::for_each(begin, begin + cols, [&](float value) { row = std::max(row, std::abs(value)); });
      const double magnitude = std::abs(values[i]);
      EXPECT_LE(std::abs(bf16[i] - values[i]), magnitude * 0x1p-8 + 1e-45);
      EXPECT_LE(std::abs(fp16[i] - values[i]), std::max(magnitude * 0x1p-11, largest * 0x1p-38) + 1e-45);
      EXPECT_LE(std::abs(int8[i] - values[i]), row / 254 * 1.0001 + 1e-45);
    }
  }
}

TEST(Wire, ValuesOfTheNarrowFormatComeBackAsTheyWere) {
  // Every finite half, in blocks whose scale is 1 (largest in [2^14, 2^15)).
  std::vector<float> halves{16384.0F};
  for (int exponent = -24; exponent < 15; ++exponent)
    for (int mantissa = 0; mantissa < 1024; mantissa += 11) {
      const double value = exponent < -14 ? std::ldexp(1.0, exponent) : std::ldexp(1.0 + mantissa / 1024.0, exponent);
      if (value < 32768) halves.push_back(static_cast<float>(mantissa % 2 ? -value : value));
    }
  EXPECT_EQ(through(Wire::fp16, halves, 1), halves);
  std::vector<float> levels;
  for (int level = -127; level <= 127; ++level) levels.push_back(static_cast<float>(level) * 0.25F);
  EXPECT_EQ(through(Wire::int8, levels, 255), levels);
}

TEST(Wire, TiesGoToEven) {
  EXPECT_EQ(through(Wire::bf16, {1.00390625F, 1.01171875F}, 2), (std::vector<float>{1.0F, 1.015625F}));
  EXPECT_EQ(through(Wire::fp16, {16384.0F, 1.00048828125F, 1.00146484375F}, 3),
            (std::vector<float>{16384.0F, 1.0F, 1.001953125F}));
}

TEST(Wire, WhatIsNotFiniteStaysSo) {
  for (const Wire wire : kWires)
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      const auto out = through(wire, {1, bad, 2, 3}, 2);
      EXPECT_FALSE(std::isfinite(out[1])) << name_of(wire);
      EXPECT_NEAR(out[2], 2, 0.02) << name_of(wire);
    }
}

TEST(Wire, NothingIsNoBytesAndZerosAreZeros) {
  for (const Wire wire : kWires) {
    EXPECT_EQ(wire_bytes(wire, 0, 16), 0);
    EXPECT_EQ(wire_bytes(wire, 16, 0), 0);
    EXPECT_EQ(wire_bytes(wire, 3, 5) % 4, 0);
    EXPECT_EQ(through(wire, {0, 0, -0.0F}, 3), (std::vector<float>{0, 0, 0}));
    EXPECT_EQ(parse_wire(name_of(wire)), wire);
  }
  EXPECT_EQ(wire_bytes(Wire::bf16, 10, 16), 320);
  EXPECT_EQ(wire_bytes(Wire::int8, 10, 16), 200);
  EXPECT_FALSE(parse_wire("fp8"));
}

}  // namespace
}  // namespace swallowtail
