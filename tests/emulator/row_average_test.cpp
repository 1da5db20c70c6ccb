#include "kernels/cuda/row_average.h"

#include <cmath>

#include "kernels/weight_average.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

/// Three steps of random bags over two tables; the weights change between as an optimizer would.
TEST(RowAverage, EqualsAnAverageOfEveryStep) {
  testing::for_seeds("row averages", [](std::uint64_t seed) {
    const double decay = below(seed, 1, 2) ? 0.3 : 0.9;
    const Averaging averaging(decay);
    std::vector<double> log_prefix{0};
    for (std::int64_t step = 1; averaging.decay(step) < decay; ++step)
      log_prefix.push_back(log_prefix.back() + std::log(averaging.decay(step)));
    const std::int64_t rows[]{1 + below(seed, 2, 9), 1 + below(seed, 3, 9)}, dims[]{1 + below(seed, 4, 40), 4};
    const std::int64_t batch = 1 + below(seed, 5, 6), steps = 4;
    Stream stream;
    std::vector<std::vector<float>> weights, average;
    std::vector<DeviceBuffer<float>> device_weights, device_average;
    std::vector<DeviceBuffer<std::int32_t>> steps_of;
    std::vector<DeviceTable> tables;
    std::vector<RowAverage> averages;
    for (std::size_t t = 0; t < 2; ++t) {
      weights.push_back(testing::values(seed, 10 + t, rows[t] * dims[t]));
      average.push_back(weights.back());
      device_weights.push_back(testing::on_device(weights[t], stream));
      device_average.push_back(testing::on_device(average[t], stream));
      steps_of.push_back(testing::on_device(std::vector<std::int32_t>(static_cast<std::size_t>(rows[t]), 0), stream));
      tables.push_back(
          {.rows = device_weights[t].data(), .row_count = rows[t], .dim = static_cast<std::int32_t>(dims[t])});
      averages.push_back({device_average[t].data(), steps_of[t].data()});
    }
    const DeviceTables described(tables, true, stream);
    const auto device_averages = testing::on_device(averages, stream);
    const auto prefix = testing::on_device(log_prefix, stream);
    for (std::int64_t step = 1; step <= steps; ++step) {
      std::vector<std::int64_t> values, offsets{0};
      std::vector<std::vector<bool>> touched;
      for (std::size_t t = 0; t < 2; ++t) {
        touched.emplace_back(static_cast<std::size_t>(rows[t]), false);
        for (std::int64_t b = 0; b < batch; ++b) {
          const auto bag = static_cast<std::uint64_t>((step * 2 + static_cast<std::int64_t>(t)) * batch + b);
          for (std::int64_t i = below(seed, 100 + bag, 4); i > 0; --i) {
            values.push_back(below(seed, 1000 + 10 * bag + static_cast<std::uint64_t>(i), rows[t]));
            touched[t][static_cast<std::size_t>(values.back())] = true;
          }
          offsets.push_back(std::ssize(values));
        }
      }
      const auto device_values = testing::on_device(values, stream),
                 device_offsets = testing::on_device(offsets, stream);
      const DeviceBags bags{device_values.data(), device_offsets.data(), nullptr, batch, std::ssize(values)};
      const auto share = static_cast<float>(1 - averaging.decay(step));
      const auto facts = testing::on_device(std::vector{StepFacts{.average_share = share, .step = step}}, stream);
      const RowAverages of{
          &described, device_averages.data(), {prefix.data(), prefix.size() - 1, std::log(decay)}, facts.data()};
      average_before_update(of, bags, stream);
      for (std::size_t t = 0; t < 2; ++t)
        for (std::size_t row = 0; row < touched[t].size(); ++row)
          for (std::size_t d = 0; d < static_cast<std::size_t>(dims[t]); ++d) {
            const std::size_t at = row * static_cast<std::size_t>(dims[t]) + d;
            if (touched[t][row]) weights[t][at] += testing::value_at(seed, 50 + t, step * 1000 + std::int64_t(at));
            average[t][at] += share * (weights[t][at] - average[t][at]);
          }
      for (std::size_t t = 0; t < 2; ++t)
        copy_to_device(device_weights[t].data(), weights[t].data(), std::ssize(weights[t]), stream);
      average_after_update(of, bags, stream);
      if (step != steps) continue;
      settle_averages(of, step, stream);
      for (std::size_t t = 0; t < 2; ++t) {
        EXPECT_TRUE(testing::near(average[t], testing::on_host(device_average[t], stream), 1e-5F, 1e-5F))
            << "seed " << seed;
        for (const std::int32_t settled : testing::on_host(steps_of[t], stream)) EXPECT_EQ(settled / 2, steps);
      }
    }
  });
}

}  // namespace
}  // namespace swallowtail::cuda
