// From a small image to a vector: four times convolution 3 x 3, GroupNorm, ReLU, maximum over 2 x 2; then the mean over
// what is left of the plane and a linear layer. GroupNorm and no BatchNorm, so that an image's vector does not depend
// on its neighbours. No image has a vector of its own, which is learned.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

namespace swallowtail {

struct ImageEncoderOptions {
  std::vector<std::int64_t> maps{32, 64, 128, 128};
  std::int64_t outputs = 64;
};

class ImageEncoderImpl : public torch::nn::Module {
 public:
  explicit ImageEncoderImpl(const ImageEncoderOptions& options);
  /// First weights from counters keyed by (seed, `name` and the parameter's).
  void initialise(std::uint64_t seed, const std::string& name);
  /// [B, outputs]. images [B, 3, 64, 64] in [0, 1]; is_missing [B, 1] bool: that image is none, and its pixels are not
  /// looked at.
  torch::Tensor forward(const torch::Tensor& images, const torch::Tensor& is_missing);
  std::int64_t outputs() const noexcept { return options_.outputs; }

 private:
  ImageEncoderOptions options_;
  std::vector<torch::nn::Conv2d> convolutions_;
  std::vector<torch::nn::GroupNorm> norms_;
  torch::nn::Linear out_{nullptr};
  torch::Tensor no_image_;  // [outputs]
};
TORCH_MODULE(ImageEncoder);

}  // namespace swallowtail
