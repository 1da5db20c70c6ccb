// Timings of the kernels that single models and rankings are made of.
#include <algorithm>
#include <span>

#include "kernels/cross.h"
#include "kernels/huge_pages.h"
#include "kernels/kmeans.h"
#include "kernels/random.h"
#include "kernels/sampled_softmax.h"
#include "kernels/top_k.h"
#include "trainer/cli/kernel_turns.h"

namespace swallowtail::cli {
namespace {

std::vector<float> normal_values(std::int64_t count, std::uint64_t key) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(random::normal(random::bits(5, key, static_cast<std::uint64_t>(i))));
  return values;
}

}  // namespace

void time_cross(const KernelTimingOptions& options, std::vector<KernelTiming>& timings) {
  constexpr std::int64_t kDim = 27 * 16;  // the Kaggle architecture's vectors, side by side
  constexpr std::int64_t kSize = kKernelBatch * kDim, kCalls = 8;
  const CrossShape shape{kKernelBatch, kDim};
  const auto x0 = normal_values(kSize, 1), x = normal_values(kSize, 2), h = normal_values(kSize, 3),
             bias = normal_values(kDim, 4);
  std::vector<float> y(kSize), grad_h(kSize), grad_x0(kSize), grad_bias(kDim);
  const auto case_of = [&](const char* kernel) {
    return nlohmann::json{{"kernel", kernel}, {"dim", kDim}, {"batch", kKernelBatch}};
  };
  // A copy of n floats moves 8 n bytes.
  const auto copies = [&](int floats_moved) {
    return [&, floats_moved] {
      for (int i = 0; i < kCalls; ++i)
        for (int part = 0; part < floats_moved / 2; ++part) {
          const float* from = part % 2 == 0 ? x0.data() : x.data();
          copy_on_threads(from, part % 2 == 0 ? y.data() : grad_h.data(), kSize);
        }
    };
  };
  constexpr double kGigabytes = 4e-9 * kCalls * kSize;
  timings.push_back(in_turns(
      options, {case_of("cross_forward"), "GB/s", 4 * kGigabytes, "copy", 4 * kGigabytes, kCalls},
      [&] {
        for (int i = 0; i < kCalls; ++i) cross_forward(shape, x0.data(), x.data(), h.data(), bias.data(), y.data());
      },
      copies(4)));
  timings.push_back(in_turns(
      options, {case_of("cross_backward"), "GB/s", 6 * kGigabytes, "copy", 6 * kGigabytes, kCalls},
      [&] {
        for (int i = 0; i < kCalls; ++i)
          cross_backward(shape, x0.data(), h.data(), bias.data(), x.data(),
                         {grad_h.data(), grad_x0.data(), grad_bias.data()});
      },
      copies(6)));
}

void time_top_k(const KernelTimingOptions& options, std::vector<KernelTiming>& timings) {
  constexpr std::int64_t kUsers = 64, kItems = 100000, kColumns = 1600;  // whole rows of a limit's table
  const auto scores = normal_values(kUsers * kItems, 6);
  std::vector<std::int64_t> rows(kUsers * kItems / kColumns);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int64_t>(i);
  constexpr double kGigabytes = 4e-9 * kUsers * kItems;
  float sink = 0;
  for (const std::int64_t k : {10, 100}) {
    std::vector<std::int64_t> items(static_cast<std::size_t>(kUsers * k));
    timings.push_back(in_turns(
        options,
        {{{"kernel", "top_k"}, {"users", kUsers}, {"items", kItems}, {"k", k}},
         "GB/s",
         kGigabytes,
         "the scores read",
         kGigabytes,
         1},
        [&] {
          top_k({.users = kUsers, .items = kItems, .k = k, .excluded = {}, .candidates = {}}, scores.data(), items, {});
        },
        [&] { sink += gather_on_threads(scores.data(), rows, kColumns); }));
  }
}

void time_kmeans(const KernelTimingOptions& options, std::vector<KernelTiming>& timings) {
  constexpr std::int64_t kPoints = 16384, kCentroids = 256, kDim = 64;
  const auto points = normal_values(kPoints * kDim, 7), centroids = normal_values(kCentroids * kDim, 8);
  std::vector<std::int64_t> nearest(kPoints);
  // A subtraction and a multiply-add for each column.
  timings.push_back(in_turns(
      options,
      {{{"kernel", "kmeans_assign"}, {"points", kPoints}, {"centroids", kCentroids}, {"dim", kDim}},
       "GFLOP/s",
       3e-9 * kPoints * kCentroids * kDim,
       "multiply-add peak",
       peak_amount(),
       1},
      [&] {
        kmeans_assign({kPoints, kCentroids, kDim}, points.data(), centroids.data(), nearest, {});
      },
      peak_on_threads));
}

void time_sampled_softmax(const KernelTimingOptions& options, std::vector<KernelTiming>& timings) {
  constexpr std::int64_t kDim = 64, kRows = 1000000, kNegatives = 16, kBatches = 4;
  constexpr std::int64_t kSamples = kKernelBatch * kBatches;
  HugeVector<float> users, items;
  users.resize(kRows * kDim);
  items.resize(kRows * kDim);
  std::ranges::fill(users, 0.1F);
  std::ranges::fill(items, 0.05F);
  const auto user_ids = draw_ids(kSamples, kRows, 0), item_ids = draw_ids(kSamples * (1 + kNegatives), kRows, 0);
  const std::vector<float> log_q(static_cast<std::size_t>(kKernelBatch * kNegatives), -13.8F);
  const auto part = [](const std::vector<std::int64_t>& ids, std::int64_t first, std::int64_t count) {
    return std::span(ids).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
  };
  FactorScratch scratch;
  OptimizerStep step;
  step.learning_rate = 0.01F;
  constexpr double kMillions = 1e-6 * kSamples;
  timings.push_back(in_turns(
      options,
      {{{"kernel", "sampled_softmax_step"},
        {"dim", kDim},
        {"items", kRows},
        {"negatives", kNegatives},
        {"batch", kKernelBatch}},
       "M/s",
       kMillions,
       "its rows read and written",
       kMillions,
       kBatches},
      [&] {
        for (std::int64_t b = 0; b < kBatches; ++b)
          sampled_softmax_step(step,
                               {users.data(), items.data(), nullptr, nullptr, nullptr, nullptr, kRows, kRows, kDim},
                               {part(user_ids, b * kKernelBatch, kKernelBatch),
                                part(item_ids, b * kKernelBatch, kKernelBatch),
                                part(item_ids, kSamples + b * kKernelBatch * kNegatives, kKernelBatch * kNegatives),
                                {}},
                               {std::span(log_q).first(kKernelBatch), log_q}, scratch);
      },
      [&] {
        modify_on_threads(users.data(), user_ids, kDim);
        modify_on_threads(items.data(), item_ids, kDim);
      }));
}

}  // namespace swallowtail::cli
