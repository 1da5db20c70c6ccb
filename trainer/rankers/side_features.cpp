#include "trainer/rankers/side_features.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace swallowtail {
namespace {

using Counts = std::function<bool(std::int64_t)>;

void add_number(const SideColumn& column, std::int64_t rows, const Counts& counts, std::int64_t bins,
                std::vector<torch::Tensor>& features) {
  std::vector<float> known;
  double sum = 0, squares = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const double value = column.numbers[row];
    if (!counts(row) || std::isnan(value)) continue;
    sum += value;
    squares += value * value;
    known.push_back(column.numbers[row]);
  }
  const auto count = static_cast<double>(known.size());
  const double mean = count > 0 ? sum / count : 0;
  const double deviation = count > 0 ? std::sqrt(std::max(0.0, squares / count - mean * mean)) : 0;
  if (deviation == 0) return;
  torch::Tensor values = torch::zeros({rows + 1, 1});
  auto* const cells = values.data_ptr<float>();
  for (std::int64_t row = 0; row < rows; ++row)
    if (!std::isnan(column.numbers[row])) cells[row] = static_cast<float>((column.numbers[row] - mean) / deviation);
  features.push_back(values);
  if (bins < 2) return;
  std::ranges::sort(known);
  std::vector<float> edges;  // a value belongs to the bin of the number of edges <= it
  for (std::int64_t bin = 1; bin < bins; ++bin) {
    const float edge = known[known.size() * static_cast<std::size_t>(bin) / static_cast<std::size_t>(bins)];
    if (edge > known.front() && (edges.empty() || edge > edges.back())) edges.push_back(edge);
  }
  torch::Tensor hot = torch::zeros({rows + 1, std::ssize(edges) + 1});
  for (std::int64_t row = 0; row < rows; ++row)
    if (!std::isnan(column.numbers[row]))
      hot.data_ptr<float>()[row * hot.size(1) +
                            (std::ranges::upper_bound(edges, column.numbers[row]) - edges.begin())] = 1;
  features.push_back(hot / std::sqrt(static_cast<double>(hot.size(1))));
}

}  // namespace

torch::Tensor side_features(const SideTable& table, std::int64_t rows, const Counts& counts,
                            const FeatureOptions& options) {
  std::vector<torch::Tensor> features;
  for (const SideColumn& column : table.columns) {
    if (column.kind == SideColumn::Kind::number) {
      add_number(column, rows, counts, options.bins, features);
    } else if ((column.kind == SideColumn::Kind::category || column.kind == SideColumn::Kind::multi) &&
               !column.categories.empty() && column.categories.size() <= options.most_categories) {
      const auto categories = static_cast<std::int64_t>(column.categories.size());
      torch::Tensor values = torch::zeros({rows + 1, categories});
      auto* const cells = values.data_ptr<float>();
      for (std::int64_t row = 0; row < rows; ++row)
        for (std::int64_t c = column.offsets[row]; c < column.offsets[row + 1]; ++c)
          cells[row * categories + column.codes[c]] = 1;
      features.push_back(values / std::sqrt(static_cast<double>(categories)));
    }
  }
  return features.empty() ? torch::zeros({rows + 1, 0}) : torch::cat(features, 1);
}

}  // namespace swallowtail
