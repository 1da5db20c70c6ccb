#include "kernels/cuda/partial_sums.h"

#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

TEST(PartialSums, AddsTheParts) {
  testing::for_seeds("parts become wholes", [](std::uint64_t seed) {
    Stream stream;
    const std::int64_t count = below(seed, 1, 5), rows = 40;
    std::int64_t width = 0;
    std::vector<DeviceBuffer<float>> parts;
    std::vector<PartialSum> described;
    std::vector<std::int64_t> columns;
    for (std::int64_t s = 0; s < count; ++s) {
      const std::uint64_t key = random::bits(seed, 2, static_cast<std::uint64_t>(s));
      const PartialSum sum{.count = 1 + below(key, 1, 5),
                           .vectors = below(key, 2, 4) == 0 ? 0 : below(key, 3, rows),
                           .cols = 1 + below(key, 4, 70),
                           .scale = below(key, 5, 2) == 0 ? 1.0F : 0.25F};
      parts.push_back(
          testing::on_device(testing::values(key, 6, sum.count * sum.vectors * sum.cols, /*exact=*/true), stream));
      columns.push_back(width);
      described.push_back(sum);
      width += sum.cols + below(key, 7, 3);  // columns of nobody stay as they are
    }
    std::vector<float> wanted(static_cast<std::size_t>(rows * width), 77.0F);
    const auto out = testing::on_device(wanted, stream);
    for (std::size_t s = 0; s < described.size(); ++s) {
      PartialSum& sum = described[s];
      sum.parts = parts[s].data();
      sum.out = out.data() + columns[s];
      sum.stride = width;
      const auto values = testing::on_host(parts[s], stream);
      for (std::int64_t v = 0; v < sum.vectors; ++v)
        for (std::int64_t d = 0; d < sum.cols; ++d) {
          float whole = 0;
          for (std::int64_t part = 0; part < sum.count; ++part)
            whole += values[static_cast<std::size_t>((part * sum.vectors + v) * sum.cols + d)];
          wanted[static_cast<std::size_t>(v * width + columns[s] + d)] = sum.scale * whole;
        }
    }
    const PartialSums sums(described, stream);
    add_parts(sums, stream);
    EXPECT_TRUE(testing::same_bits(wanted, testing::on_host(out, stream))) << "seed " << seed;
  });
}

}  // namespace
}  // namespace swallowtail::cuda
