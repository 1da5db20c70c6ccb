#include "trainer/models/image_encoder.h"

#include <cmath>
#include <numeric>

#include "kernels/random.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kMostGroups = 8;
constexpr double kMean = 0.5, kDeviation = 0.25;  // about those of photographs

}  // namespace

ImageEncoderImpl::ImageEncoderImpl(const ImageEncoderOptions& options) : options_(options) {
  std::int64_t inputs = 3;
  for (const std::int64_t maps : options.maps) {
    const std::string at = std::to_string(convolutions_.size());
    convolutions_.push_back(register_module(
        "convolution_" + at, torch::nn::Conv2d(torch::nn::Conv2dOptions(inputs, maps, 3).padding(1).bias(false))));
    norms_.push_back(register_module(
        "norm_" + at, torch::nn::GroupNorm(torch::nn::GroupNormOptions(std::gcd(kMostGroups, maps), maps))));
    inputs = maps;
  }
  out_ = register_module("out", torch::nn::Linear(inputs, options.outputs));
  no_image_ = register_parameter("no_image", torch::zeros({options.outputs}));
}

void ImageEncoderImpl::initialise(std::uint64_t seed, const std::string& name) {
  const torch::NoGradGuard no_grad;
  for (const auto& parameter : named_parameters()) {
    torch::Tensor values = parameter.value();
    if (parameter.key().ends_with("bias") || parameter.key() == "no_image") {
      values.zero_();
    } else if (values.dim() == 1) {
      values.fill_(1);  // of a norm
    } else {
      const double inputs = static_cast<double>(values.numel()) / static_cast<double>(values.size(0));
      const std::uint64_t purpose = random::purpose("image encoder") ^ random::purpose(name + "." + parameter.key());
      auto* const cells = values.data_ptr<float>();
      for (std::int64_t i = 0; i < values.numel(); ++i)
        cells[i] = static_cast<float>(std::sqrt(2 / inputs) *
                                      random::normal(random::bits(seed, purpose, static_cast<std::uint64_t>(i))));
    }
  }
}

torch::Tensor ImageEncoderImpl::forward(const torch::Tensor& images, const torch::Tensor& is_missing) {
  torch::Tensor x = (images - kMean) / kDeviation;
  for (std::size_t layer = 0; layer < convolutions_.size(); ++layer)
    x = torch::max_pool2d(torch::relu(norms_[layer](convolutions_[layer](x))), 2);
  return torch::where(is_missing, no_image_.unsqueeze(0), out_(x.mean({2, 3})));
}

}  // namespace swallowtail
