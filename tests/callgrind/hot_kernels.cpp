// The program that count.py runs under callgrind: each hot kernel once on a small shape, inside measured_kernel(),
// after a run that fills what is reused. Prints the kernels' names in their order; one argument: the instruction set.
#include <cstdio>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/auc.h"
#include "kernels/bpr.h"
#include "kernels/criteo_lines.h"
#include "kernels/embedding.h"
#include "kernels/interaction.h"
#include "kernels/isa.h"
#include "kernels/kmeans.h"
#include "kernels/marks.h"
#include "kernels/random.h"
#include "kernels/row_update.h"
#include "kernels/sampled_softmax.h"
#include "kernels/top_k.h"
#include "kernels/wire.h"

/// What callgrind counts, and whose end it takes for the end of a kernel.
extern "C" [[gnu::noinline]] void measured_kernel(const std::function<void()>& work) { work(); }

namespace swallowtail {
namespace {

using Ids = std::vector<std::int64_t>;

void measure(const char* name, const std::function<void()>& work) {
  work();
  measured_kernel(work);
  std::printf("%s\n", name);
}

Ids some_ids(std::int64_t count, std::int64_t rows, std::uint64_t key) {
  Ids ids(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    ids[i] = random::below(random::bits(1, key, static_cast<std::uint64_t>(i)), rows);
  return ids;
}

std::vector<float> some_values(std::int64_t count, std::uint64_t key) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(random::uniform(random::bits(2, key, static_cast<std::uint64_t>(i)))) - 0.5F;
  return values;
}

void measure_embedding() {
  constexpr std::int64_t kRows = 4096, kDim = 64, kBags = 256, kLength = 20;
  auto weights = some_values(kRows * kDim, 1);
  const Ids ids = some_ids(kBags * kLength, kRows, 2);
  Ids offsets(kBags + 1);
  for (std::int64_t bag = 0; bag <= kBags; ++bag) offsets[bag] = bag * kLength;
  const JaggedView bags{ids, offsets, {}};
  std::vector<float> out(kBags * kDim);
  measure("embedding_forward_fp32", [&] {
    pooled_lookup_forward(TableView{weights.data(), kRows, kDim}, bags, Pooling::sum, out.data());
  });

  const std::int64_t bytes = row_bytes(RowFormat::int8, kDim);
  std::vector<std::byte> packed(static_cast<std::size_t>(kRows * bytes));
  for (std::int64_t row = 0; row < kRows; ++row)
    pack_row(RowFormat::int8, weights.data() + row * kDim, kDim, packed.data() + row * bytes);
  measure("embedding_forward_int8", [&] {
    pooled_lookup_forward(PackedTableView{packed.data(), RowFormat::int8, kRows, kDim}, bags, Pooling::mean,
                          out.data());
  });

  const auto gradients = some_values(kBags * kDim, 3);
  std::vector<const float*> of_bag;
  for (std::int64_t bag = 0; bag < kBags; ++bag) of_bag.push_back(gradients.data() + bag * kDim);
  RowGroups groups;
  measure("group_by_row", [&] { group_by_row(bags, kRows, Pooling::sum, groups); });
  OptimizerStep step;
  step.learning_rate = 0.01F;
  step.epsilon = 1e-8F;
  step.kind = Optimizer::rowwise_adagrad;
  std::vector<float> state(kRows * 2 * kDim, 0.1F);
  measure("update_rows_rowwise_adagrad", [&] {
    update_rows(step, TableRows{weights.data(), state.data(), kDim}, groups, of_bag);
  });
  step.kind = Optimizer::adam;
  std::vector<std::byte> half(static_cast<std::size_t>(kRows * row_bytes(RowFormat::bf16, kDim)));
  measure("update_rows_adam_bf16", [&] {
    update_rows(step, PackedTableRows{half.data(), RowFormat::bf16, state.data(), kDim}, {1, 2, 0}, groups, of_bag);
  });
}

void measure_interaction(std::int64_t dim) {
  constexpr std::int64_t kFeatures = 27, kBatch = 64;
  const InteractionShape shape{kBatch, dim, false, true};
  const auto values = some_values(kFeatures * kBatch * dim, 4);
  auto gradients = values;
  std::vector<const float*> from;
  std::vector<float*> to;
  for (std::int64_t f = 0; f < kFeatures; ++f) {
    from.push_back(values.data() + f * kBatch * dim);
    to.push_back(gradients.data() + f * kBatch * dim);
  }
  std::vector<float> out(static_cast<std::size_t>(kBatch * interaction_width(kFeatures, shape)));
  const std::string end = "_dim_" + std::to_string(dim);
  measure(("interaction_forward" + end).c_str(), [&] { dot_interaction_forward(shape, from, out.data()); });
  measure(("interaction_backward" + end).c_str(), [&] { dot_interaction_backward(shape, from, out.data(), to); });
}

void measure_factors() {
  constexpr std::int64_t kRows = 2048, kDim = 64, kBatch = 256, kNegatives = 8;
  auto users = some_values(kRows * kDim, 5), items = some_values(kRows * kDim, 6);
  const FactorTables tables{users.data(), items.data(), nullptr, nullptr, nullptr, nullptr, kRows, kRows, kDim};
  const Ids of_users = some_ids(kBatch, kRows, 7), positives = some_ids(kBatch, kRows, 8),
            negatives = some_ids(kBatch * kNegatives, kRows, 9);
  OptimizerStep step;
  step.learning_rate = 0.01F;
  step.weight_decay = 0.01F;
  FactorScratch scratch;
  measure("bpr_step", [&] {
    bpr_step(step, tables, {of_users, positives, std::span(negatives).first(kBatch), {}}, scratch);
  });
  measure("bpr_step_rows_of_their_own", [&] {  // so few samples that most share no row
    bpr_step(step, tables,
             {std::span(of_users).first(16), std::span(positives).first(16), std::span(negatives).first(16), {}},
             scratch);
  });
  measure("sampled_softmax_step", [&] {
    sampled_softmax_step(step, tables, {of_users, positives, negatives, {}}, {}, scratch);
  });
}

void measure_scores() {
  constexpr std::int64_t kScores = 20000, kUsers = 4, kItems = 5000, kBest = 10;
  const auto values = some_values(kScores, 10), draws = some_values(kScores, 11);
  std::vector<double> scores(kScores);
  std::vector<float> labels(kScores);
  for (std::int64_t i = 0; i < kScores; ++i) {
    scores[i] = static_cast<double>(values[i] + 0.5F);
    labels[i] = static_cast<float>(draws[i] < values[i]);
  }
  measure("exact_auc", [&] { exact_auc(scores, labels); });
  Ids best(kUsers * kBest);
  measure("top_k", [&] {
    top_k({.users = kUsers, .items = kItems, .k = kBest, .excluded = {}, .candidates = {}}, values.data(), best, {});
  });
}

void measure_points() {
  constexpr std::int64_t kPoints = 256, kCentroids = 64, kDim = 32, kVectors = 512, kCols = 64;
  const auto points = some_values(kPoints * kDim, 12), centroids = some_values(kCentroids * kDim, 13);
  Ids nearest(kPoints);
  measure("kmeans_assign", [&] {
    kmeans_assign({kPoints, kCentroids, kDim}, points.data(), centroids.data(), nearest, {});
  });
  const auto values = some_values(kVectors * kCols, 14);
  std::vector<std::byte> bytes(static_cast<std::size_t>(wire_bytes(Wire::int8, kVectors, kCols)));
  measure("wire_encode_int8", [&] { encode(Wire::int8, values.data(), kVectors, kCols, bytes.data()); });
}

void measure_text() {
  using namespace criteo;
  constexpr std::size_t kLines = 42 * kGroup;
  std::string text;
  for (std::size_t i = 0; i < kLines * kFields; ++i) {
    const std::uint64_t bits = random::bits(3, 1, i);
    char category[9];
    std::snprintf(category, sizeof category, "%08x", static_cast<unsigned>(bits));
    const std::size_t column = i % kFields;
    text += column == 0 ? std::to_string(bits % 2) : column <= kIntegers ? std::to_string(bits % 3000) : category;
    text += column + 1 == kFields ? '\n' : '\t';
  }
  std::vector<std::uint32_t> marks(text.size() + 16), feeds(text.size() + 1);
  measure("find_marks", [&] { find_marks(text, '\t', marks.data(), feeds.data()); });
  text += "eight bytes";
  CriteoHashes hashes{};
  hashes.range.fill(999999);
  CriteoGroup group;
  std::vector<std::int64_t> ids(CriteoHashes::kSize);
  measure("decode_criteo", [&] {
    for (std::size_t line = 0; line < kLines; line += kGroup) {
      const std::uint32_t begin = line == 0 ? 0 : marks[line * kFields - 1] + 1;
      decode_criteo({text.data(), begin, marks.data() + line * kFields}, hashes, group, ids.data());
    }
  });
}

}  // namespace
}  // namespace swallowtail

int main(int argc, char** argv) {
  using namespace swallowtail;
  const auto isa = parse_isa(argc == 2 ? argv[1] : "");
  if (!isa || !use_isa(*isa)) {
    std::fprintf(stderr, "hot_kernels: this machine has no %s\n",
                 argc == 2 ? argv[1] : "instruction set that was named");
    return 77;
  }
  measure_embedding();
  measure_interaction(16);
  measure_interaction(128);
  measure_factors();
  measure_scores();
  measure_points();
  measure_text();
}
