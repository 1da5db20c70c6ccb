#include <array>

#include "trainer/cli/kernel_turns.h"
#include "trainer/cli/mlp_timings.h"
#include "trainer/training/mlp_bench.h"

namespace swallowtail::cli {

void time_mlp(const KernelTimingOptions& options, std::vector<KernelTiming>& timings) {
  if (!is_wanted(options, "mlp")) return;
  constexpr std::int64_t kInputs = 367;  // the Kaggle architecture's top MLP: 351 products and 16 columns
  constexpr std::array<std::int64_t, 3> kWidths{512, 256, 1};
  for (const std::int64_t batch : {std::int64_t{128}, kKernelBatch}) {
    MlpBench mlp(batch, kInputs, kWidths);
    const auto calls = static_cast<int>(4 * kKernelBatch / batch);
    const double gflop = 1e-9 * calls * mlp.flops();
    timings.push_back(in_turns(
        options,
        {{{"kernel", "mlp"}, {"inputs", kInputs}, {"widths", kWidths}, {"batch", batch}},
         "GFLOP/s",
         gflop,
         "its matrix products alone",
         gflop,
         static_cast<double>(calls)},
        [&] {
          for (int i = 0; i < calls; ++i) mlp.pass();
        },
        [&] {
          for (int i = 0; i < calls; ++i) mlp.products();
        }));
  }
}

}  // namespace swallowtail::cli
