// The encoder of images: against unfolding and a matrix product in fp64, and the laws that it promises.
#include "trainer/models/image_encoder.h"

#include <gtest/gtest.h>

namespace swallowtail {
namespace {

ImageEncoder encoder() {
  ImageEncoder made(ImageEncoderOptions{.maps = {8, 6}, .outputs = 5});
  made->initialise(3, "image");
  const torch::NoGradGuard no_grad;
  made->named_parameters()["no_image"].uniform_(-1, 1);
  made->to(torch::kFloat64);
  return made;
}

const torch::Tensor kAllThere = torch::zeros({3, 1}, torch::kBool);

TEST(ImageEncoder, ConvolutionIsUnfoldingAndAProduct) {
  auto image = encoder();
  const torch::Tensor pixels = torch::rand({3, 3, 16, 16}, torch::kFloat64);
  torch::Tensor x = (pixels - 0.5) / 0.25;
  const auto parameters = image->named_parameters();
  std::int64_t side = 16;
  for (const char* const layer : {"0", "1"}) {
    const torch::Tensor filters = parameters[std::string("convolution_") + layer + ".weight"];
    const torch::Tensor patches = torch::im2col(x, {3, 3}, {1, 1}, {1, 1}, {1, 1});  // [B, 9 C, side^2]
    x = torch::matmul(filters.reshape({filters.size(0), -1}), patches).reshape({3, filters.size(0), side, side});
    // GroupNorm: 8 maps are 8 groups, 6 maps are 2.
    const std::int64_t groups = filters.size(0) == 8 ? 8 : 2;
    const torch::Tensor grouped = x.reshape({3, groups, -1});
    const torch::Tensor mean = grouped.mean(2, true), variance = grouped.var(2, /*unbiased=*/false, true);
    x = torch::relu(((grouped - mean) / torch::sqrt(variance + 1e-5)).reshape(x.sizes()));
    x = x.reshape({3, x.size(1), side / 2, 2, side / 2, 2}).amax({3, 5});
    side /= 2;
  }
  const torch::Tensor expected = torch::linear(x.mean({2, 3}), parameters["out.weight"], parameters["out.bias"]);
  EXPECT_LE((image->forward(pixels, kAllThere) - expected).abs().max().item<double>(), 1e-10);
}

TEST(ImageEncoder, NeighboursDoNotChangeAnImageAndNoneHasItsOwnVector) {
  auto image = encoder();
  torch::Tensor pixels = torch::rand({3, 3, 16, 16}, torch::kFloat64);
  const torch::Tensor together = image->forward(pixels, kAllThere);
  const torch::Tensor alone = image->forward(pixels.slice(0, 1, 2), torch::zeros({1, 1}, torch::kBool));
  EXPECT_LE((together[1] - alone[0]).abs().max().item<double>(), 1e-13);
  torch::Tensor is_missing = kAllThere.clone();
  is_missing[1] = true;
  const torch::Tensor out = image->forward(pixels, is_missing);
  EXPECT_TRUE(out[1].equal(image->named_parameters()["no_image"]));
  EXPECT_TRUE(torch::allclose(out[0], together[0]));
  out.sum().backward();
  for (const auto& parameter : image->named_parameters())
    EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
}

}  // namespace
}  // namespace swallowtail
