#include "trainer/cli/kernel_timings.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/auc.h"
#include "kernels/bpr.h"
#include "kernels/embedding.h"
#include "kernels/huge_pages.h"
#include "kernels/interaction.h"
#include "kernels/isa.h"
#include "kernels/random.h"
#include "kernels/row_update.h"
#include "kernels/wire.h"
#include "trainer/cli/kernel_turns.h"

namespace swallowtail::cli {
namespace {

using Ids = std::vector<std::int64_t>;

constexpr std::int64_t kBatch = kKernelBatch;

void time_embedding(const KernelTimingOptions& options, std::int64_t dim, std::int64_t length, double exponent,
                    HugeVector<float>& table, std::vector<KernelTiming>& timings) {
  const std::int64_t rows = options.table_bytes / (4 * dim), ids_a_batch = kBatch * length;
  const std::int64_t batches = std::max<std::int64_t>(2, options.sweep_bytes / (4 * dim * ids_a_batch));
  const Ids ids = draw_ids(batches * ids_a_batch, rows, exponent);
  Ids offsets(kBatch + 1);
  for (std::int64_t bag = 0; bag <= kBatch; ++bag) offsets[bag] = bag * length;
  const auto batch = [&](std::int64_t b) {
    return JaggedView{
        std::span(ids).subspan(static_cast<std::size_t>(b * ids_a_batch), static_cast<std::size_t>(ids_a_batch)),
        offsets,
        {}};
  };
  std::vector<float> out(static_cast<std::size_t>(kBatch * dim)), gradients(out.size(), 1e-4F);
  const double gigabytes = 4e-9 * static_cast<double>(dim) * static_cast<double>(ids.size());
  const auto shape = [&](const char* kernel) {
    return nlohmann::json{{"kernel", kernel}, {"dim", dim},   {"pooling_factor", length},
                          {"zipf", exponent}, {"rows", rows}, {"batch", kBatch}};
  };
  const auto forward = [&] {
    for (std::int64_t b = 0; b < batches; ++b)
      pooled_lookup_forward(TableView{table.data(), rows, dim}, batch(b), Pooling::sum, out.data());
  };
  float sink = 0;
  timings.push_back(in_turns(
      options, {shape("embedding_forward"), "GB/s", gigabytes, "row gather", gigabytes, static_cast<double>(batches)},
      forward, [&] {
        // A batch at a time as well: each begins without a row that is on its way.
        for (std::int64_t b = 0; b < batches; ++b) sink += gather_on_threads(table.data(), batch(b).values, dim);
      }));
  // One row a bag is written as well as read, which the gather is not.
  if (length == 1)
    timings.push_back(in_turns(options,
                               {shape("embedding_forward_beside_copy"), "GB/s", gigabytes, "row gather and copy",
                                gigabytes, static_cast<double>(batches)},
                               forward, [&] { copy_rows_on_threads(table.data(), ids, dim, kBatch); }));

  HugeVector<float> state;
  state.resize(static_cast<std::size_t>(rows));
  std::ranges::fill(state, 0.1F + 0 * sink);
  std::vector<const float*> pointers;
  for (std::int64_t bag = 0; bag < kBatch; ++bag) pointers.push_back(gradients.data() + bag * dim);
  OptimizerStep step;
  step.kind = Optimizer::rowwise_adagrad;
  step.learning_rate = 1e-3F;
  step.epsilon = usual_epsilon(step.kind);
  RowGroups groups;
  // Bytes of weights alone, there and back; the limit modifies each distinct row of a batch once.
  std::vector<Ids> touched(static_cast<std::size_t>(batches));
  double distinct = 0;
  for (std::int64_t b = 0; b < batches; ++b) {
    group_by_row(batch(b), rows, Pooling::sum, groups);
    touched[b] = groups.rows;
    distinct += static_cast<double>(groups.rows.size());
  }
  const double moved = 8e-9 * static_cast<double>(dim) * distinct;
  timings.push_back(in_turns(
      options,
      {shape("embedding_backward_rowwise_adagrad"), "GB/s", moved, "row read and write", moved,
       static_cast<double>(batches)},
      [&] {
        for (std::int64_t b = 0; b < batches; ++b) {
          group_by_row(batch(b), rows, Pooling::sum, groups);
          update_rows(step, TableRows{table.data(), state.data(), dim}, groups, pointers);
        }
      },
      [&] {
        for (const Ids& of_batch : touched) modify_on_threads(table.data(), of_batch, dim);
      }));
}

void time_interaction(const KernelTimingOptions& options, std::int64_t dim, std::vector<KernelTiming>& timings) {
  constexpr std::int64_t kFeatures = 27;
  const InteractionShape shape{kBatch, dim, false, true};
  std::vector<std::vector<float>> vectors(kFeatures, std::vector<float>(static_cast<std::size_t>(kBatch * dim), 0.5F));
  auto gradients = vectors;
  std::vector<const float*> from;
  std::vector<float*> to;
  for (std::int64_t f = 0; f < kFeatures; ++f) {
    from.push_back(vectors[f].data());
    to.push_back(gradients[f].data());
  }
  std::vector<float> out(static_cast<std::size_t>(kBatch * interaction_width(kFeatures, shape)), 0.25F);
  const double flops = 2e-9 * static_cast<double>(kBatch * dim * interaction_pairs(kFeatures, false));
  const auto case_of = [&](const char* kernel) {
    return nlohmann::json{{"kernel", kernel}, {"features", kFeatures}, {"dim", dim}, {"batch", kBatch}};
  };
  constexpr int kCalls = 8;
  timings.push_back(in_turns(
      options, {case_of("interaction_forward"), "GFLOP/s", kCalls * flops, "multiply-add peak", peak_amount(), kCalls},
      [&] {
        for (int i = 0; i < kCalls; ++i) dot_interaction_forward(shape, from, out.data());
      },
      peak_on_threads));
  timings.push_back(in_turns(
      options,
      {case_of("interaction_backward"), "GFLOP/s", 2 * kCalls * flops, "multiply-add peak", peak_amount(), kCalls},
      [&] {
        for (int i = 0; i < kCalls; ++i) dot_interaction_backward(shape, from, out.data(), to);
      },
      peak_on_threads));
}

void time_bpr(const KernelTimingOptions& options, std::vector<KernelTiming>& timings) {
  constexpr std::int64_t kDim = 64, kRows = 1000000, kBatches = 32;
  HugeVector<float> users, items;
  users.resize(kRows * kDim);
  items.resize(kRows * kDim);
  std::ranges::fill(users, 0.1F);
  std::ranges::fill(items, 0.05F);
  const Ids ids = draw_ids(3 * kBatch * kBatches, kRows, 0);
  const auto part = [&](std::int64_t b, std::int64_t which) {
    return std::span(ids).subspan(static_cast<std::size_t>((3 * b + which) * kBatch), kBatch);
  };
  FactorScratch scratch;
  OptimizerStep step;
  step.learning_rate = 0.01F;
  step.weight_decay = 0.01F;
  const double triplets = 1e-6 * kBatch * kBatches;
  timings.push_back(in_turns(
      options,
      {{{"kernel", "bpr_step"}, {"dim", kDim}, {"items", kRows}, {"batch", kBatch}},
       "M/s",
       triplets,
       "three rows read and written",
       triplets,
       kBatches},
      [&] {
        for (std::int64_t b = 0; b < kBatches; ++b)
          bpr_step(step, {users.data(), items.data(), nullptr, nullptr, nullptr, nullptr, kRows, kRows, kDim},
                   {part(b, 0), part(b, 1), part(b, 2), {}}, scratch);
      },
      [&] { modify_on_threads(items.data(), ids, kDim); }));
}

void time_auc(const KernelTimingOptions& options, std::vector<KernelTiming>& timings) {
  constexpr std::int64_t kScores = 1000000;
  std::vector<double> scores(kScores);
  std::vector<float> labels(kScores);
  for (std::int64_t i = 0; i < kScores; ++i) {
    const double score = random::uniform(random::bits(2, 1, static_cast<std::uint64_t>(i)));
    scores[i] = static_cast<float>(score);
    labels[i] = static_cast<float>(random::uniform(random::bits(2, 2, static_cast<std::uint64_t>(i))) < score);
  }
  std::vector<float> from(kScores), to(kScores);  // as wide as keys
  timings.push_back(in_turns(
      options,
      {{{"kernel", "auc"}, {"scores", kScores}}, "M/s", 1e-6 * kScores, "four copies of its keys", 1e-6 * kScores, 1},
      [&] { exact_auc(scores, labels); },
      [&] {
        for (int pass = 0; pass < 4; ++pass) {
          copy_on_threads(from.data(), to.data(), kScores);
          from.swap(to);
        }
      }));
}

void time_wire(const KernelTimingOptions& options, Wire wire, std::vector<KernelTiming>& timings) {
  constexpr std::int64_t kVectors = 8192, kCols = 64, kCalls = 8;
  std::vector<float> values(kVectors * kCols), copy(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random::normal(random::bits(3, 1, i)));
  std::vector<std::byte> bytes(static_cast<std::size_t>(wire_bytes(wire, kVectors, kCols)));
  const double gigabytes = 4e-9 * kCalls * static_cast<double>(values.size());
  const auto copies = [&] {
    for (int i = 0; i < kCalls; ++i) copy_on_threads(values.data(), copy.data(), std::ssize(values));
  };
  const auto case_of = [&](const char* kernel) {
    return nlohmann::json{{"kernel", kernel}, {"wire", name_of(wire)}, {"vectors", kVectors}, {"dim", kCols}};
  };
  timings.push_back(in_turns(
      options, {case_of("wire_encode"), "GB/s", gigabytes, "copy", gigabytes, kCalls},
      [&] {
        for (int i = 0; i < kCalls; ++i) encode(wire, values.data(), kVectors, kCols, bytes.data());
      },
      copies));
  timings.push_back(in_turns(
      options, {case_of("wire_decode"), "GB/s", gigabytes, "copy", gigabytes, kCalls},
      [&] {
        for (int i = 0; i < kCalls; ++i) decode(wire, bytes.data(), kVectors, kCols, copy.data());
      },
      copies));
}

}  // namespace

std::vector<KernelTiming> time_kernels(const KernelTimingOptions& options) {
  std::vector<KernelTiming> timings;
  const auto wanted = [&](std::string_view name) { return is_wanted(options, name); };
  if (wanted("embedding")) {
    HugeVector<float> table;
    table.resize(static_cast<std::size_t>(options.table_bytes / 4));
    std::ranges::fill(table, 0.5F);
    for (const std::int64_t dim : {16, 64, 128})
      for (const std::int64_t length : {1, 20})
        for (const double exponent : {0.0, 1.05}) time_embedding(options, dim, length, exponent, table, timings);
  }
  if (wanted("interaction"))
    for (const std::int64_t dim : {16, 32, 64, 128}) time_interaction(options, dim, timings);
  if (wanted("bpr")) time_bpr(options, timings);
  if (wanted("auc")) time_auc(options, timings);
  if (wanted("cross")) time_cross(options, timings);
  if (wanted("sampled_softmax")) time_sampled_softmax(options, timings);
  if (wanted("top_k")) time_top_k(options, timings);
  if (wanted("kmeans")) time_kmeans(options, timings);
  if (wanted("wire"))
    for (const Wire wire : {Wire::bf16, Wire::fp16, Wire::int8}) time_wire(options, wire, timings);
  return timings;
}

nlohmann::json to_json(const KernelTiming& timing) {
  nlohmann::json shape = timing.shape;
  shape["isa"] = name_of(active_isa());
  return {{"case", shape},
          {"value", timing.median},
          {"unit", timing.unit},
          {"min", timing.min},
          {"max", timing.max},
          {"seconds", timing.seconds},
          {"limited_by", timing.limited_by},
          {"limit", timing.limit},
          {"ratio_to_limit", timing.median / timing.limit}};
}

std::string table_of(const std::vector<KernelTiming>& timings) {
  std::string text = fmt::format("kernels with {}\n", name_of(active_isa()));
  for (const KernelTiming& timing : timings) {
    std::string shape;
    for (const auto& [key, value] : timing.shape.items())
      if (key != "kernel")
        shape += fmt::format(" {} {}", key, value.is_string() ? value.get<std::string>() : value.dump());
    text +=
        fmt::format("{:<36}{:>8.2f} {:<8} {:>5.2f} of {} ({:.2f});{}\n", timing.shape["kernel"].get<std::string>(),
                    timing.median, timing.unit, timing.median / timing.limit, timing.limited_by, timing.limit, shape);
  }
  return text;
}

}  // namespace swallowtail::cli
