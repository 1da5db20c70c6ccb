// The matrix products of a model alone, as fast as this program knows to make them: what a step cannot be faster than
// unless it multiplies better. Forward and both backward of every layer, on this process's threads. Ways that are
// tried: the library's own threads, each product's rows dealt out, blocks of rows taken through all layers and back,
// and for the gradients of weights the library, outputs dealt out, and the transposed product. The fastest is chosen
// once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace swallowtail {

struct GemmLayer {
  std::int64_t in, out;
  bool passes_on;  // its input has a gradient
};

class GemmLimit {
 public:
  /// Times the ways. Layers whose output and next input are equally wide share that matrix, as in an MLP.
  GemmLimit(std::int64_t samples, const std::vector<GemmLayer>& layers);

  /// Seconds of all products, once.
  double seconds();
  double flops() const noexcept { return flops_; }
  /// What was chosen, for people.
  std::string chosen() const;

 private:
  enum class Threads : std::uint8_t { library, dealt, dealt_transposed };
  struct Layer {
    GemmLayer of;
    std::size_t x, x_gradient, y;  // matrices
    std::vector<float> weight, weight_gradient;
    Threads forward = Threads::library, backward = Threads::library, weights = Threads::library;
  };
  enum class Product : std::uint8_t { forward, backward, weights };
  struct Range {
    std::int64_t begin, end;  // samples; of `weights`: outputs
  };

  void product(Layer& layer, Product product, Range range, bool transposed);
  void product(Layer& layer, Product product, Threads threads);
  void passes(std::int64_t block_rows);  // 0: layer by layer
  void weight_gradients();

  std::int64_t samples_, block_rows_ = 0;
  double flops_ = 0;
  std::vector<std::vector<float>> matrices_;  // [samples, padded columns]
  std::vector<Layer> layers_;
};

}  // namespace swallowtail
