#include "kernels/cuda/activation.h"

#include "kernels/dropout.h"
#include "tests/emulator/half.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

struct Case {
  Layer layer;
  std::int64_t stride;  // of the outer matrix
  Precision precision;
  std::vector<float> sums, bias, gradient;
  StepFacts facts;
};

Case make_case(std::uint64_t seed) {
  Case made;
  Layer& layer = made.layer;
  layer.rows = below(seed, 1, 4) == 0 ? below(seed, 2, 600) : below(seed, 2, 20);
  layer.columns = 8 * (1 + below(seed, 3, below(seed, 4, 3) ? 4 : 20));
  made.precision = std::array{Precision::fp32, Precision::bf16, Precision::fp16}[below(seed, 5, 3)];
  const bool cuts = made.precision == Precision::fp32 && below(seed, 6, 2) == 0;
  layer.outer_columns = cuts ? layer.columns - below(seed, 7, 8) : layer.columns;
  made.stride = made.precision == Precision::fp32 ? layer.outer_columns + below(seed, 8, 9) : layer.columns;
  layer.relu = below(seed, 9, 4) != 0;
  if (layer.relu && below(seed, 10, 2)) layer.dropout = {0.25, seed, 7};
  made.sums = testing::values(seed, 20, layer.rows * layer.columns);
  made.bias = testing::values(seed, 21, layer.columns);
  made.gradient = testing::values(seed, 22, layer.rows * made.stride);
  made.facts.step = 1 + below(seed, 11, 100);
  made.facts.first_sample = below(seed, 12, 1000);
  return made;
}

float stored(Precision precision, float value) {
  if (precision == Precision::fp16) return emulator::from_half(emulator::half_bits(value));
  return precision == Precision::bf16 ? emulator::from_bfloat16(emulator::bfloat16_bits(value)) : value;
}

/// [rows, outer_columns]
std::vector<float> forward_on_host(const Case& of) {
  const Layer& layer = of.layer;
  std::vector<float> mask(static_cast<std::size_t>(layer.rows * layer.columns), 1.0F), out;
  if (layer.dropout.probability > 0)
    dropout_mask({layer.dropout.seed, of.facts.step, layer.dropout.layer}, layer.dropout.probability,
                 of.facts.first_sample, layer.rows, layer.columns, mask.data());
  for (std::int64_t row = 0; row < layer.rows; ++row)
    for (std::int64_t c = 0; c < layer.outer_columns; ++c) {
      const auto at = static_cast<std::size_t>(row * layer.columns + c);
      float value = of.sums[at] + of.bias[static_cast<std::size_t>(c)];
      if (layer.relu && !(value > 0)) value = 0;
      out.push_back(stored(of.precision, value * mask[at]));
    }
  return out;
}

std::vector<float> to_floats(Precision precision, const DeviceBuffer<std::byte>& from, Stream& stream) {
  const auto bytes = testing::on_host(from, stream);
  std::vector<float> values(bytes.size() / static_cast<std::size_t>(element_bytes(precision)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half = 0;
    if (!is_half(precision)) {
      std::memcpy(&values[i], &bytes[4 * i], 4);
      continue;
    }
    std::memcpy(&half, &bytes[2 * i], 2);
    values[i] = precision == Precision::fp16 ? emulator::from_half(half) : emulator::from_bfloat16(half);
  }
  return values;
}

/// A device matrix of `stride` columns, zeros.
DeviceBuffer<std::byte> matrix(const Case& of, std::int64_t stride, Stream& stream) {
  DeviceBuffer<std::byte> made(of.layer.rows * stride * element_bytes(of.precision));
  zero(made.data(), made.size(), stream);
  return made;
}

TEST(Activation, ForwardAndBackwardEqualTheHosts) {
  testing::for_seeds("activation", [](std::uint64_t seed) {
    const Case of = make_case(seed);
    const Layer& layer = of.layer;
    Stream stream;
    const auto sums = testing::on_device(of.sums, stream), bias = testing::on_device(of.bias, stream);
    const auto facts = testing::on_device(std::vector{of.facts}, stream);
    auto out = matrix(of, of.stride, stream);
    const Activations outer{out.data(), of.stride, of.precision};
    activate(layer, sums.data(), bias.data(), facts.data(), outer, stream);
    const auto made = forward_on_host(of), padded = to_floats(of.precision, out, stream);
    for (std::int64_t row = 0; row < layer.rows; ++row)
      for (std::int64_t c = 0; c < layer.outer_columns; ++c)
        ASSERT_EQ(made[static_cast<std::size_t>(row * layer.outer_columns + c)],
                  padded[static_cast<std::size_t>(row * of.stride + c)])
            << "seed " << seed << " row " << row << " column " << c;

    const auto gradient = testing::on_device(of.gradient, stream);
    auto inner = matrix(of, layer.columns, stream);
    DeviceBuffer<float> bias_gradient(layer.columns);
    ActivationScratch scratch;
    activate_backward(layer, gradient.data(), of.stride, outer, {inner.data(), layer.columns, of.precision},
                      bias_gradient.data(), scratch, stream);
    const float keep = layer.dropout.probability > 0 ? layer.dropout.keep() : 1.0F;
    std::vector<float> wanted;
    std::vector<float> sum(static_cast<std::size_t>(layer.columns), 0.0F);
    for (std::int64_t row = 0; row < layer.rows; ++row)
      for (std::int64_t c = 0; c < layer.columns; ++c) {
        float value = 0;
        if (c < layer.outer_columns) {
          value = of.gradient[static_cast<std::size_t>(row * of.stride + c)];
          if (layer.relu) value = made[static_cast<std::size_t>(row * layer.outer_columns + c)] > 0 ? value * keep : 0;
        }
        sum[static_cast<std::size_t>(c)] += value;
        wanted.push_back(stored(of.precision, value));
      }
    EXPECT_TRUE(testing::same_bits(wanted, to_floats(of.precision, inner, stream))) << "seed " << seed;
    EXPECT_TRUE(testing::near(sum, testing::on_host(bias_gradient, stream), 1e-5F, 1e-4F)) << "seed " << seed;
  });
}

TEST(Activation, SumsHaveTheSameBitsUnderEverySchedule) {
  const Case of = make_case(12345);
  Layer layer = of.layer;
  layer.rows = 700;
  layer.columns = layer.outer_columns = 136;
  layer.relu = false;
  const auto values = testing::values(3, 1, layer.rows * layer.columns);
  std::vector<float> first;
  testing::under_every_schedule([&] {
    Stream stream;
    const auto gradient = testing::on_device(values, stream);
    DeviceBuffer<float> inner(gradient.size()), sums(layer.columns);
    ActivationScratch scratch;
    activate_backward(layer, gradient.data(), layer.columns, {}, {inner.data(), layer.columns}, sums.data(), scratch,
                      stream);
    const auto got = testing::on_host(sums, stream);
    if (first.empty()) first = got;
    EXPECT_TRUE(testing::same_bits(first, got));
  });
}

TEST(Activation, NotANumberStays) {
  Stream stream;
  const auto sums = testing::on_device(std::vector<float>{NAN, 1, -1, 0, 0, 0, 0, 0}, stream);
  const auto bias = testing::on_device(std::vector<float>(8, 0.0F), stream);
  DeviceBuffer<float> out(8);
  activate({.rows = 1, .columns = 8, .outer_columns = 8}, sums.data(), bias.data(), nullptr, {out.data(), 8}, stream);
  const auto got = testing::on_host(out, stream);
  EXPECT_TRUE(std::isnan(got[0]));
  EXPECT_EQ(got[1], 1);
  EXPECT_EQ(got[2], 0);
}

TEST(SumColumns, SumsThemAlone) {
  Stream stream;
  const auto a = testing::values(1, 1, 5 * 7), b = testing::values(1, 2, 5 * 3);
  const auto on_device_a = testing::on_device(a, stream), on_device_b = testing::on_device(b, stream);
  auto to = testing::on_device(std::vector<float>(5 * 4, 9.0F), stream);
  sum_columns({5, 3}, {on_device_a.data() + 2, 7}, {on_device_b.data(), 3}, {to.data(), 4}, stream);
  sum_columns({0, 3}, {}, {}, {}, stream);
  const auto after = testing::on_host(to, stream);
  for (std::size_t row = 0; row < 5; ++row) {
    for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(after[row * 4 + c], a[row * 7 + 2 + c] + b[row * 3 + c]);
    EXPECT_EQ(after[row * 4 + 3], 9.0F);
  }
}

TEST(CopyColumns, CopiesThemAlone) {
  Stream stream;
  const auto from = testing::on_device(testing::values(1, 1, 5 * 7), stream);
  auto to = testing::on_device(std::vector<float>(5 * 4, 9.0F), stream);
  copy_columns({5, 3}, {from.data() + 2, 7}, {to.data(), 4}, stream);
  const auto before = testing::values(1, 1, 5 * 7), after = testing::on_host(to, stream);
  for (std::size_t row = 0; row < 5; ++row) {
    for (std::size_t c = 0; c < 3; ++c) EXPECT_EQ(after[row * 4 + c], before[row * 7 + 2 + c]);
    EXPECT_EQ(after[row * 4 + 3], 9.0F);
  }
}

}  // namespace
}  // namespace swallowtail::cuda
