#include "trainer/device/dlrm/device_bench.h"

#include <fmt/format.h>

#include "kernels/cuda/activation.h"
#include "kernels/cuda/dense_update.h"
#include "kernels/cuda/embedding.h"
#include "kernels/cuda/interaction.h"
#include "kernels/random.h"
#include "trainer/device/device_clock.h"

namespace swallowtail {

namespace {

constexpr double kGiga = 1e9, kTera = 1e12;
constexpr const char* kPrecisionNames[]{"fp32", "tf32", "bf16", "fp16"};

void add(std::vector<DeviceTiming>& timings, DeviceTiming timing, double limit, const char* name) {
  timing.limit = limit;
  timing.limit_name = name;
  timings.push_back(std::move(timing));
}

template <typename T>
cuda::DeviceBuffer<T> zeros(std::int64_t count, cuda::Stream& stream) {
  cuda::DeviceBuffer<T> made(count);
  cuda::zero(made.data(), count, stream);
  return made;
}

struct LookupCase {
  std::int64_t tables, rows, dim, ids_a_bag, batch;
};

void time_lookup(const DeviceBenchOptions& options, const LookupCase& of, const DeviceLimits& limits,
                 std::vector<DeviceTiming>& timings) {
  cuda::Stream stream;
  const std::int64_t ids = of.tables * of.batch * of.ids_a_bag;
  std::vector<cuda::DeviceBuffer<float>> rows, states;
  std::vector<cuda::DeviceTable> described;
  for (std::int64_t t = 0; t < of.tables; ++t) {
    rows.push_back(zeros<float>(of.rows * of.dim, stream));
    states.push_back(zeros<float>(of.rows, stream));
    described.push_back({.rows = rows.back().data(),
                         .state = states.back().data(),
                         .row_count = of.rows,
                         .dim = static_cast<std::int32_t>(of.dim)});
  }
  const cuda::DeviceTables tables(described, true, stream);
  std::vector<std::int64_t> values, offsets;
  for (std::int64_t i = 0; i < ids; ++i)
    values.push_back(random::below(random::bits(1, 2, static_cast<std::uint64_t>(i)), of.rows));
  for (std::int64_t b = 0; b <= of.tables * of.batch; ++b) offsets.push_back(b * of.ids_a_bag);
  const auto device_values = cuda::to_device<std::int64_t>(values, stream);
  const auto device_offsets = cuda::to_device<std::int64_t>(offsets, stream);
  const cuda::DeviceBags bags{device_values.data(), device_offsets.data(), nullptr, of.batch, ids};
  auto pooled = zeros<float>(of.batch * tables.width(), stream);
  cuda::BackwardScratch scratch;
  cuda::DeviceBuffer<unsigned long long> bad_row(1);
  const cuda::RowUpdate update{.step = {.kind = Optimizer::rowwise_adagrad, .learning_rate = 0.01F, .epsilon = 1e-8F}};

  const std::string shape =
      fmt::format("{} tables x {} rows x {}, L={}, B={}", of.tables, of.rows, of.dim, of.ids_a_bag, of.batch);
  // Rows of these ids, and the pooled vectors; backward: the gradients a row's bags bring, and each touched row and its
  // statistic read and written (ids repeat seldom here: all are counted).
  const double row_bytes = 4.0 * static_cast<double>(of.dim), out_bytes = static_cast<double>(pooled.size()) * 4;
  const double forward_bytes = static_cast<double>(ids) * (row_bytes + 8) + out_bytes;
  const double backward_bytes = static_cast<double>(ids) * (3 * row_bytes + 8 + 8);
  const auto forward =
      time_on(stream, options, [&] { cuda::pooled_lookup_forward(tables, bags, pooled.data(), stream); });
  add(timings, timing_of("embedding forward", shape, "GB/s", forward_bytes, kGiga, forward),
      limits.copy_bytes_per_s / kGiga, "copy");
  const auto backward = time_on(stream, options, [&] {
    cuda::pooled_lookup_backward(tables, bags, pooled.data(), update, scratch, bad_row.data(), stream);
  });
  add(timings, timing_of("embedding backward, rowwise_adagrad", shape, "GB/s", backward_bytes, kGiga, backward),
      limits.copy_bytes_per_s / kGiga, "copy");
}

void time_interaction(const DeviceBenchOptions& options, std::int64_t dim, std::int64_t batch,
                      const DeviceLimits& limits, std::vector<DeviceTiming>& timings) {
  cuda::Stream stream;
  constexpr std::int64_t kFeatures = 27;
  const InteractionShape shape{batch, dim, false, true};
  const std::int64_t width = (interaction_width(kFeatures, shape) + 7) / 8 * 8;
  auto vectors = zeros<float>(batch * kFeatures * dim, stream), gradients = zeros<float>(vectors.size(), stream);
  auto out = zeros<float>(batch * width, stream);
  const auto describe = [&](float* data, std::int64_t bytes) {
    std::vector<cuda::Vectors> made;
    for (std::int64_t i = 0; i < kFeatures; ++i)
      made.push_back({reinterpret_cast<std::byte*>(data) + i * dim * bytes, kFeatures * dim});
    auto device = cuda::to_device<cuda::Vectors>(made, stream);
    stream.wait();
    return device;
  };
  const std::string name = fmt::format("F=27, D={}, B={}", dim, batch);
  const auto moved = static_cast<double>(vectors.size() + out.size());
  const auto run = [&](const char* kind, std::int64_t bytes, const auto& forward, const auto& backward) {
    const auto from = describe(vectors.data(), bytes), to = describe(gradients.data(), bytes);
    const cuda::DotInteraction of{shape, from.data(), kFeatures, width};
    add(timings,
        timing_of(fmt::format("interaction forward, {}", kind), name, "GB/s", moved * static_cast<double>(bytes), kGiga,
                  time_on(stream, options, [&] { forward(of); })),
        limits.copy_bytes_per_s / kGiga, "copy");
    add(timings,
        timing_of(fmt::format("interaction backward, {}", kind), name, "GB/s",
                  (moved + static_cast<double>(gradients.size())) * static_cast<double>(bytes), kGiga,
                  time_on(stream, options, [&] { backward(of, to.data()); })),
        limits.copy_bytes_per_s / kGiga, "copy");
  };
  run(
      "fp32", 4, [&](const auto& of) { cuda::dot_interaction_forward(of, out.data(), stream); },
      [&](const auto& of, const auto* to) { cuda::dot_interaction_backward(of, out.data(), to, stream); });
  run(
      "bf16", 2, [&](const auto& of) { cuda::dot_interaction_forward(cuda::Half::bf16, of, out.data(), stream); },
      [&](const auto& of, const auto* to) {
        cuda::dot_interaction_backward(cuda::Half::bf16, of, out.data(), to, stream);
      });
}

}  // namespace

DeviceLimits time_limits(const DeviceBenchOptions& options, std::vector<DeviceTiming>& timings) {
  cuda::Stream stream;
  DeviceLimits limits;
  {
    const std::int64_t count = options.tiny ? 1 << 12 : std::int64_t{1} << 28;
    auto from = zeros<float>(count, stream), to = zeros<float>(count, stream);
    const auto seconds = time_on(stream, options, [&] { cuda::copy_on_device(to.data(), from.data(), count, stream); });
    timings.push_back(timing_of("copy", fmt::format("{} MiB", count * 4 >> 20), "GB/s", 8 * static_cast<double>(count),
                                kGiga, seconds));
    limits.copy_bytes_per_s = timings.back().value * kGiga;
  }
  cuda::Gemm gemm(stream);
  const std::int64_t size = options.tiny ? 24 : 8192;
  auto a = zeros<float>(size * size, stream), b = zeros<float>(size * size, stream),
       c = zeros<float>(size * size, stream);
  for (int p = 0; p < 4; ++p) {
    const auto seconds = time_on(stream, options, [&] {
      gemm.multiply(static_cast<cuda::Precision>(p), {size, size, size}, {a.data(), size}, {b.data(), size, true},
                    c.data(), size);
    });
    const double operations = 2 * static_cast<double>(size) * static_cast<double>(size) * static_cast<double>(size);
    timings.push_back(timing_of(fmt::format("gemm {}", kPrecisionNames[p]), fmt::format("{0} x {0} x {0}", size),
                                "TFLOP/s", operations, kTera, seconds));
    limits.flops_per_s[p] = timings.back().value * kTera;
  }
  return limits;
}

void time_embedding(const DeviceBenchOptions& options, const DeviceLimits& limits, std::vector<DeviceTiming>& timings) {
  if (!is_wanted(options, "embedding")) return;
  if (options.tiny) return time_lookup(options, {2, 50, 16, 2, 8}, limits, timings);
  for (const std::int64_t dim : {16, 64, 128})
    for (const std::int64_t ids : {1, 20})
      time_lookup(options, {ids == 1 ? 26 : 8, 400000, dim, ids, ids == 1 ? 65536 : 8192}, limits, timings);
}

void time_dense_kernels(const DeviceBenchOptions& options, const DeviceLimits& limits,
                        std::vector<DeviceTiming>& timings) {
  if (is_wanted(options, "interaction"))
    for (const std::int64_t dim : {16, 128}) time_interaction(options, dim, options.tiny ? 4 : 65536, limits, timings);
  cuda::Stream stream;
  const std::int64_t rows = options.tiny ? 20 : 65536, columns = options.tiny ? 16 : 1024;
  const std::string shape = fmt::format("{} x {}", rows, columns);
  const double bytes = 4 * static_cast<double>(rows * columns);
  if (is_wanted(options, "activation")) {
    auto sums = zeros<float>(rows * columns, stream), out = zeros<float>(rows * columns, stream);
    auto bias = zeros<float>(columns, stream);
    cuda::ActivationScratch scratch;
    const cuda::Layer layer{.rows = rows, .columns = columns, .outer_columns = columns};
    add(timings,
        timing_of("activation forward, fp32", shape, "GB/s", 2 * bytes, kGiga,
                  time_on(stream, options,
                          [&] {
                            cuda::activate(layer, sums.data(), bias.data(), nullptr, {out.data(), columns}, stream);
                          })),
        limits.copy_bytes_per_s / kGiga, "copy");
    add(timings,
        timing_of("activation backward, fp32", shape, "GB/s", 3 * bytes, kGiga,
                  time_on(stream, options,
                          [&] {
                            cuda::activate_backward(layer, sums.data(), columns, {out.data(), columns},
                                                    {sums.data(), columns}, bias.data(), scratch, stream);
                          })),
        limits.copy_bytes_per_s / kGiga, "copy");
  }
  if (is_wanted(options, "dense update")) {
    const std::int64_t count = rows * columns;
    auto weights = zeros<float>(count, stream), gradient = zeros<float>(count, stream),
         state = zeros<float>(2 * count, stream);
    const std::vector<cuda::StepFacts> facts{
        {.dense = cuda::Rates(OptimizerStep{.kind = Optimizer::adam, .learning_rate = 0.001F, .epsilon = 1e-8F})}};
    const auto device_facts = cuda::to_device<cuda::StepFacts>(facts, stream);
    add(timings,
        timing_of("dense update, adam", fmt::format("{} parameters", count), "GB/s", 7 * bytes, kGiga,
                  time_on(stream, options,
                          [&] {
                            cuda::update_dense({.count = count,
                                                .weights = weights.data(),
                                                .gradient = gradient.data(),
                                                .state = state.data(),
                                                .facts = device_facts.data()},
                                               stream);
                          })),
        limits.copy_bytes_per_s / kGiga, "copy");
  }
  if (!is_wanted(options, "gemm")) return;
  cuda::Gemm gemm(stream);
  auto x = zeros<float>(rows * columns, stream), w = zeros<float>(columns * columns, stream),
       y = zeros<float>(rows * columns, stream);
  for (int p = 0; p < 4; ++p)
    add(timings,
        timing_of(fmt::format("gemm of a layer, {}", kPrecisionNames[p]), fmt::format("{0} x {1} x {1}", rows, columns),
                  "TFLOP/s", 2 * static_cast<double>(rows * columns) * static_cast<double>(columns), kTera,
                  time_on(stream, options,
                          [&] {
                            gemm.multiply(static_cast<cuda::Precision>(p), {rows, columns, columns},
                                          {x.data(), columns}, {w.data(), columns, true}, y.data(), columns);
                          })),
        limits.flops_per_s[p] / kTera, "gemm");
}

}  // namespace swallowtail
