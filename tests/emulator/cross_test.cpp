#include "kernels/cuda/cross.h"

#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

TEST(CrossLayer, HasTheBitsOfTheHost) {
  testing::for_seeds("cross layer equals the host's", [](std::uint64_t seed) {
    const std::vector<std::int64_t> dims{1, 3, 4, 13, 16, 64, 100, 400, 1028};
    const CrossShape shape{below(seed, 1, 4) == 0 ? below(seed, 2, 3) : below(seed, 3, 150),
                           dims[static_cast<std::size_t>(below(seed, 4, std::ssize(dims)))]};
    const std::int64_t size = shape.batch * shape.dim;
    const auto x0 = testing::values(seed, 10, size), x = testing::values(seed, 11, size),
               h = testing::values(seed, 12, size), bias = testing::values(seed, 13, shape.dim),
               grad_y = testing::values(seed, 14, size), start = testing::values(seed, 15, size);
    Stream stream;
    const auto on_device = [&](const std::vector<float>& host) { return testing::on_device(host, stream); };
    const auto dx0 = on_device(x0), dx = on_device(x), dh = on_device(h), dbias = on_device(bias),
               dgrad_y = on_device(grad_y), grad_x0 = on_device(start);

    DeviceBuffer<float> y(size), grad_h(size), grad_bias(shape.dim);
    cross_forward(shape, dx0.data(), dx.data(), dh.data(), dbias.data(), y.data(), stream);
    std::vector<float> wanted(static_cast<std::size_t>(size));
    swallowtail::cross_forward(shape, x0.data(), x.data(), h.data(), bias.data(), wanted.data());
    EXPECT_TRUE(testing::same_bits(wanted, testing::on_host(y, stream))) << "seed " << seed;

    CrossScratch scratch;
    cross_backward(shape, dx0.data(), dh.data(), dbias.data(), dgrad_y.data(),
                   {grad_h.data(), grad_x0.data(), grad_bias.data()}, scratch, stream);
    std::vector<float> wanted_h(wanted.size()), wanted_x0 = start, wanted_bias(bias.size());
    swallowtail::cross_backward(shape, x0.data(), h.data(), bias.data(), grad_y.data(),
                                {wanted_h.data(), wanted_x0.data(), wanted_bias.data()});
    EXPECT_TRUE(testing::same_bits(wanted_h, testing::on_host(grad_h, stream))) << "seed " << seed;
    EXPECT_TRUE(testing::same_bits(wanted_x0, testing::on_host(grad_x0, stream))) << "seed " << seed;
    const auto got_bias = testing::on_host(grad_bias, stream);
    if (shape.batch <= kCrossPiece) {
      EXPECT_TRUE(testing::same_bits(wanted_bias, got_bias)) << "seed " << seed;
    } else {
      EXPECT_TRUE(testing::near(wanted_bias, got_bias, 1e-4F, 1e-4F)) << "seed " << seed;
    }
  });
}

TEST(CrossLayer, MayOverwriteItsInput) {
  Stream stream;
  const std::vector<float> x0{1, 2, 3}, x{4, 5, 6}, h{1, 0, -1}, bias{0, 1, 1};
  const auto dx0 = testing::on_device(x0, stream), dx = testing::on_device(x, stream),
             dh = testing::on_device(h, stream), dbias = testing::on_device(bias, stream);
  cross_forward({1, 3}, dx0.data(), dx.data(), dh.data(), dbias.data(), dx.data(), stream);
  EXPECT_EQ(testing::on_host(dx, stream), (std::vector<float>{5, 7, 6}));
}

}  // namespace
}  // namespace swallowtail::cuda
