#include "kernels/cuda/interaction.h"

#include "kernels/interaction.h"
#include "tests/emulator/half.h"
#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

struct Case {
  InteractionShape shape;
  std::int64_t features, width, stride;
  std::vector<std::vector<float>> vectors;
  std::vector<float> grad_out;  // [batch, stride]; padding too
  std::vector<const float*> pointers() const {
    std::vector<const float*> made;
    for (const auto& vector : vectors) made.push_back(vector.data());
    return made;
  }
};

Case make_case(std::uint64_t seed) {
  Case made;
  made.shape = {below(seed, 1, 10), 1 + below(seed, 2, below(seed, 3, 2) ? 20 : 70), below(seed, 4, 2) == 0,
                below(seed, 5, 2) == 0};
  made.features = 1 + below(seed, 6, below(seed, 7, 3) ? 12 : 40);
  made.width = interaction_width(made.features, made.shape);
  made.stride = made.width + below(seed, 8, 9);
  for (std::int64_t i = 0; i < made.features; ++i)
    made.vectors.push_back(
        testing::values(seed, 100 + static_cast<std::uint64_t>(i), made.shape.batch * made.shape.dim));
  made.grad_out = testing::values(seed, 9, made.shape.batch * made.stride);
  return made;
}

/// The interleaved vectors of one sample after the other, as a table-batched lookup leaves them: stride F * D.
template <typename T, typename Convert>
std::vector<T> interleave(const Case& made, Convert convert) {
  std::vector<T> all;
  for (std::int64_t b = 0; b < made.shape.batch; ++b)
    for (const auto& vector : made.vectors)
      for (std::int64_t d = 0; d < made.shape.dim; ++d) all.push_back(convert(vector[b * made.shape.dim + d]));
  return all;
}

template <typename T>
DeviceBuffer<Vectors> describe(const Case& made, T* data, Stream& stream) {
  std::vector<Vectors> vectors;
  for (std::int64_t i = 0; i < made.features; ++i)
    vectors.push_back({data + i * made.shape.dim, made.features * made.shape.dim});
  auto described = testing::on_device(vectors, stream);
  stream.wait();
  return described;
}

std::vector<float> forward_on_host(const Case& made) {
  std::vector<float> packed(static_cast<std::size_t>(made.shape.batch * made.width)), padded;
  dot_interaction_forward(made.shape, made.pointers(), packed.data());
  for (std::int64_t b = 0; b < made.shape.batch; ++b) {
    padded.insert(padded.end(), packed.begin() + b * made.width, packed.begin() + (b + 1) * made.width);
    padded.resize(padded.size() + static_cast<std::size_t>(made.stride - made.width));
  }
  return padded;
}

/// Gradients interleaved as the vectors.
std::vector<float> backward_on_host(const Case& made) {
  std::vector<float> packed;
  for (std::int64_t b = 0; b < made.shape.batch; ++b)
    packed.insert(packed.end(), made.grad_out.begin() + b * made.stride, made.grad_out.begin() + b * made.stride + made.width);
  Case result = made;
  std::vector<float*> pointers;
  for (auto& vector : result.vectors) pointers.push_back(vector.data());
  dot_interaction_backward(made.shape, made.pointers(), packed.data(), pointers);
  return interleave<float>(result, [](float value) { return value; });
}

TEST(DotInteraction, HasTheBitsOfTheHost) {
  testing::for_seeds("fp32 interaction equals the host's", [](std::uint64_t seed) {
    const Case made = make_case(seed);
    Stream stream;
    const auto data = testing::on_device(interleave<float>(made, [](float value) { return value; }), stream);
    const auto vectors = describe(made, data.data(), stream);
    const DotInteraction of{made.shape, vectors.data(), made.features, made.stride};
    DeviceBuffer<float> out(made.shape.batch * made.stride), gradients(data.size());
    dot_interaction_forward(of, out.data(), stream);
    EXPECT_TRUE(testing::same_bits(forward_on_host(made), testing::on_host(out, stream))) << "seed " << seed;
    const auto grad_out = testing::on_device(made.grad_out, stream);
    const auto grad_vectors = describe(made, gradients.data(), stream);
    dot_interaction_backward(of, grad_out.data(), grad_vectors.data(), stream);
    EXPECT_TRUE(testing::same_bits(backward_on_host(made), testing::on_host(gradients, stream))) << "seed " << seed;
  });
}

TEST(DotInteraction, TensorCorePathAgreesToTheRoundingOf16Bits) {
  testing::for_seeds("16-bit interaction", [](std::uint64_t seed) {
    Case made = make_case(seed);
    if (made.features > 20) made.features = 20, made.vectors.resize(20), made = [&] {
      Case smaller = made;
      smaller.width = interaction_width(20, made.shape);
      smaller.stride = smaller.width + 3;
      smaller.grad_out = testing::values(seed, 9, made.shape.batch * smaller.stride);
      return smaller;
    }();
    const Half type = below(seed, 10, 2) ? Half::fp16 : Half::bf16;
    const auto to = [&](float value) {
      return type == Half::fp16 ? emulator::half_bits(value) : emulator::bfloat16_bits(value);
    };
    const auto from = [&](std::uint16_t bits) {
      return type == Half::fp16 ? emulator::from_half(bits) : emulator::from_bfloat16(bits);
    };
    for (auto& vector : made.vectors)
      for (float& value : vector) value = from(to(value));
    for (float& value : made.grad_out) value = from(to(value));
    Stream stream;
    const auto data = testing::on_device(interleave<std::uint16_t>(made, to), stream);
    const auto vectors = describe(made, data.data(), stream);
    const DotInteraction of{made.shape, vectors.data(), made.features, made.stride};
    DeviceBuffer<std::uint16_t> out(made.shape.batch * made.stride), gradients(data.size());
    dot_interaction_forward(type, of, out.data(), stream);
    const auto floats = [&](const DeviceBuffer<std::uint16_t>& halves) {
      std::vector<float> made_floats;
      for (const std::uint16_t bits : testing::on_host(halves, stream)) made_floats.push_back(from(bits));
      return made_floats;
    };
    const float last_place = type == Half::fp16 ? 0x1p-10F : 0x1p-7F;
    EXPECT_TRUE(testing::near(forward_on_host(made), floats(out), last_place, 1e-4F)) << "seed " << seed;
    std::vector<std::uint16_t> half_gradient;
    for (const float value : made.grad_out) half_gradient.push_back(to(value));
    const auto grad_out = testing::on_device(half_gradient, stream);
    const auto grad_vectors = describe(made, gradients.data(), stream);
    dot_interaction_backward(type, of, grad_out.data(), grad_vectors.data(), stream);
    EXPECT_TRUE(testing::near(backward_on_host(made), floats(gradients), last_place, 1e-4F)) << "seed " << seed;
  });
}

TEST(DotInteraction, RefusesWhatDoesNotFit) {
  Stream stream;
  const DotInteraction of{{1, 4096, false, true}, nullptr, 64, 4096 + 64 * 63 / 2};
  EXPECT_THROW(dot_interaction_forward(of, nullptr, stream), Failure);
  EXPECT_THROW(dot_interaction_forward(Half::fp16, of, nullptr, stream), Failure);
}

}  // namespace
}  // namespace swallowtail::cuda
