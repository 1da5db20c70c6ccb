#include "kernels/cuda/gemm.h"

#include "kernels/cuda/dense_update.h"
#include "tests/emulator/half.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

/// [rows, columns] of the product, with the rows of memory longer than they need be.
struct Side {
  std::int64_t rows, columns, stride;
  bool transposed;
  std::vector<float> values;  // as it lies in memory

  Side(std::uint64_t seed, std::uint64_t purpose, std::int64_t of_rows, std::int64_t of_columns)
      : rows(of_rows), columns(of_columns), transposed(below(seed, purpose, 2) == 0) {
    stride = (transposed ? rows : columns) + below(seed, purpose + 1, 5);
    values = testing::values(seed, purpose + 2, (transposed ? columns : rows) * stride);
  }
  float at(std::int64_t row, std::int64_t column) const {
    return values[static_cast<std::size_t>(transposed ? column * stride + row : row * stride + column)];
  }
};

std::vector<float> product(const Side& a, const Side& b, float (*rounded)(float)) {
  std::vector<float> c;
  for (std::int64_t i = 0; i < a.rows; ++i)
    for (std::int64_t j = 0; j < b.columns; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < a.columns; ++k)
        sum += static_cast<double>(rounded(a.at(i, k))) * static_cast<double>(rounded(b.at(k, j)));
      c.push_back(static_cast<float>(sum));
    }
  return c;
}

float as_it_is(float value) { return value; }
float through_bf16(float value) { return emulator::from_bfloat16(emulator::bfloat16_bits(value)); }
float through_fp16(float value) { return emulator::from_half(emulator::half_bits(value)); }

TEST(Gemm, MultipliesEveryOrientation) {
  testing::for_seeds("products", [](std::uint64_t seed) {
    const std::int64_t m = below(seed, 1, 20), n = 1 + below(seed, 2, 20), k = below(seed, 3, 30);
    const Side a(seed, 10, m, k), b(seed, 20, k, n);
    Stream stream;
    Gemm gemm(stream);
    const auto left = testing::on_device(a.values, stream), right = testing::on_device(b.values, stream);
    struct Way {
      Precision precision;
      float (*rounded)(float);
      float tolerance;
    };
    for (const auto& [precision, rounded, tolerance] :
         {Way{Precision::fp32, as_it_is, 1e-5F}, Way{Precision::tf32, as_it_is, 2e-3F},
          Way{Precision::bf16, through_bf16, 1e-5F}, Way{Precision::fp16, through_fp16, 1e-5F}}) {
      DeviceBuffer<std::uint16_t> left_halves(left.size()), right_halves(right.size());
      Matrix of_a{left.data(), a.stride, a.transposed}, of_b{right.data(), b.stride, b.transposed};
      if (is_half(precision)) {
        round_to_half(precision, left.data(), left.size(), left_halves.data(), stream);
        round_to_half(precision, right.data(), right.size(), right_halves.data(), stream);
        of_a.data = left_halves.data(), of_b.data = right_halves.data();
      }
      DeviceBuffer<float> c(m * n);
      gemm.multiply(precision, {m, n, k}, of_a, of_b, c.data(), n);
      const float scale = std::sqrt(static_cast<float>(k) + 1) * 4;
      auto wanted = product(a, b, rounded);
      EXPECT_TRUE(testing::near(wanted, testing::on_host(c, stream), tolerance, tolerance * scale))
          << "seed " << seed << " precision " << static_cast<int>(precision);
      gemm.multiply(precision, {m, n, k}, of_a, of_b, c.data(), n, /*add=*/true);
      for (float& value : wanted) value *= 2;
      EXPECT_TRUE(testing::near(wanted, testing::on_host(c, stream), tolerance, 2 * tolerance * scale))
          << "seed " << seed << " added, precision " << static_cast<int>(precision);
    }
  });
}

}  // namespace
}  // namespace swallowtail::cuda
