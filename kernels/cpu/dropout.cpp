#include "kernels/dropout.h"

#include "kernels/random.h"

namespace swallowtail {

void dropout_mask(const DropoutKey& key, double probability, std::int64_t first_sample, std::int64_t batch,
                  std::int64_t width, float* mask) {
  constexpr std::uint64_t kPurpose = random::purpose("dropout");
  const auto keep = static_cast<float>(1.0 / (1.0 - probability));
  const auto threshold = static_cast<std::uint64_t>(probability * 0x1.0p32);
#pragma omp parallel for schedule(static) if (batch * width > 65536)
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::uint64_t sample_key = random::bits(key.seed, kPurpose ^ key.layer, static_cast<std::uint64_t>(key.step),
                                                  static_cast<std::uint64_t>(first_sample + b));
    float* row = mask + b * width;
    for (std::int64_t j = 0; j < width; j += 2) {  // 64 bits serve two units
      const std::uint64_t draw = random::mix(sample_key + static_cast<std::uint64_t>(j));
      row[j] = (draw >> 32) < threshold ? 0.0F : keep;
      if (j + 1 < width) row[j + 1] = (draw & 0xffffffffULL) < threshold ? 0.0F : keep;
    }
  }
}

}  // namespace swallowtail
