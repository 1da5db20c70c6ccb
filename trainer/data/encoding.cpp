#include "trainer/data/encoding.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/random.h"

namespace swallowtail {
namespace {

float saturate(double value) {
  constexpr double most = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(value, -most, most));
}

/// ln(1 + max(value, 0)) in fp32. Most counts are small whole numbers, whose logarithms are known.
float log_of(double value) {
  constexpr std::size_t known = 1024;
  static const auto logs = [] {
    std::array<float, known> all{};
    for (std::size_t k = 0; k < known; ++k) all[k] = saturate(std::log1p(static_cast<double>(k)));
    return all;
  }();
  if (value >= 0 && value < static_cast<double>(known)) {
    const auto whole = static_cast<std::size_t>(value);
    if (static_cast<double>(whole) == value) return logs[whole];
  }
  return saturate(std::log1p(std::max(value, 0.0)));
}

double rank_of(const DenseColumn& column, double value) {
  const auto& knots = column.knots;
  if (knots.empty()) return 0.5;
  const auto above = std::ranges::lower_bound(knots, value);
  if (above == knots.end()) return column.ranks.back();
  const auto i = static_cast<std::size_t>(above - knots.begin());
  if (i == 0 || *above == value) return column.ranks[i];
  const double share = (value - knots[i - 1]) / (knots[i] - knots[i - 1]);
  return column.ranks[i - 1] + share * (column.ranks[i] - column.ranks[i - 1]);
}

}  // namespace

float DenseColumn::encode(std::optional<double> value) const {
  switch (normalize) {
    case Normalize::none:
      return saturate(value.value_or(mean));
    case Normalize::log:
      return value ? log_of(*value) : 0.0F;
    case Normalize::standard:
      return value ? saturate((*value - mean) / deviation) : 0.0F;
    case Normalize::quantile:
      return value ? saturate(2 * rank_of(*this, *value) - 1) : 0.0F;
  }
  return 0;
}

std::int64_t IdColumn::row_of(const RawId& id) const {
  std::int64_t row = 0;
  switch (kind) {
    case Kind::vocabulary: {
      const std::int64_t position = vocabulary.find(id.text);
      row = position < 0 ? 0 : position + 1 + missing_row;
      break;
    }
    case Kind::hash:
      return row_of_hash(hash_text(id.text, hash_seed));
    case Kind::index:
      row = std::min(id.index - first_index, index_rows - 1);
      break;
    case Kind::bins:
      break;
  }
  return modulus > 0 ? row % modulus : row;
}

std::int64_t IdColumn::row_of_hash(std::uint64_t hash) const {
  const std::int64_t row = buckets < 2 ? 0 : 1 + random::below(hash, buckets - 1);
  return modulus > 0 ? row % modulus : row;
}

std::int64_t IdColumn::row_of_missing() const { return modulus > 0 ? missing_row % modulus : missing_row; }

std::int64_t IdColumn::row_of_number(std::optional<double> value) const {
  return value ? 1 + (std::ranges::upper_bound(edges, *value) - edges.begin()) : 0;
}

DataShape Encoding::shape() const {
  DataShape shape;
  for (const auto& column : dense) shape.dense.push_back(column.name);
  for (const auto& column : dense)
    if (column.has_indicator) shape.dense.push_back(column.name + ".missing");
  for (const auto& feature : features)
    shape.categorical.push_back({.name = feature.feature_name(),
                                 .rows = feature.rows,
                                 .mean_ids = feature.mean_ids,
                                 .weighted = feature.is_weighted});
  for (const auto& text : texts) shape.texts.push_back({.name = text.name, .rows = text.words.rows()});
  shape.labels = {label};
  return shape;
}

void Encoding::encode(const RawColumns& columns, const RawRow& row, EncodedRow& out) const {
  out.dense.clear();
  out.ids.clear();
  out.id_weights.clear();
  out.ends.clear();
  out.label = row.label;
  out.weight = row.weight;
  // numbers begin with data.dense, in its order (numeric_columns in source.h)
  for (std::size_t i = 0; i < dense.size(); ++i) out.dense.push_back(dense[i].encode(row.numbers[i]));
  for (std::size_t i = 0; i < dense.size(); ++i)
    if (dense[i].has_indicator) out.dense.push_back(row.numbers[i] ? 0.0F : 1.0F);
  const bool is_weighted = std::ranges::any_of(features, &IdColumn::is_weighted);
  for (std::size_t f = 0; f < features.size(); ++f) {
    const IdColumn& feature = features[f];
    const auto add = [&](std::int64_t id, float weight) {
      out.ids.push_back(id);
      if (is_weighted) out.id_weights.push_back(weight);
    };
    if (feature.kind == IdColumn::Kind::bins) {
      add(feature.row_of_number(row.numbers[columns.number(feature.name)]), 1);
    } else {
      const auto ids = row.feature(f);
      if (ids.empty() && feature.is_one_hot) add(feature.row_of_missing(), 1);
      for (const RawId& id : ids) add(feature.row_of(id), id.weight);
    }
    out.ends.push_back(out.ids.size());
  }
  for (std::size_t t = 0; t < texts.size(); ++t) {
    for (const std::int64_t word : texts[t].words.rows_of(row.texts[t], texts[t].length)) {
      out.ids.push_back(word);
      if (is_weighted) out.id_weights.push_back(1);
    }
    out.ends.push_back(out.ids.size());
  }
}

}  // namespace swallowtail
