#include "trainer/data/encoding_learner.h"

#include <algorithm>
#include <cmath>

namespace swallowtail {
namespace {
constexpr std::size_t kKnots = 1001;
}

void rank_knots(const std::vector<ValueCount>& values, std::vector<double>& knots, std::vector<double>& ranks) {
  double total = 0;
  for (const auto& value : values) total += static_cast<double>(value.count);
  double below = 0, next_rank = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto count = static_cast<double>(values[i].count);
    const double rank = (below + count / 2) / total;
    below += count;
    // Beyond 1,001 values: the first value whose rank reaches the next of equally spaced ranks.
    if (values.size() > kKnots && i > 0 && i + 1 < values.size() && rank < next_rank) continue;
    while (next_rank <= rank) next_rank += 1.0 / static_cast<double>(kKnots - 1);
    knots.push_back(values[i].value);
    ranks.push_back(rank);
  }
}

EncodingLearner::EncodingLearner(const DataOptions& options, const RawColumns& columns)
    : options_(options), columns_(columns), numbers_(columns.numbers.size()), features_(columns.features.size()) {
  for (std::size_t i = 0; i < numbers_.size(); ++i) {
    const auto& name = columns.numbers[i];
    numbers_[i].is_sampled =
        std::ranges::count(options.binned, name) > 0 || options.column(name).normalize == Normalize::quantile;
  }
  for (std::size_t f = 0; f < features_.size(); ++f)
    features_[f].is_vocabulary =
        !columns.features[f].is_index && options.column(columns.features[f].name).encoding == IdEncoding::vocabulary;
  texts_.resize(columns.texts.size());
}

void EncodingLearner::add(const RawRow& row) {
  for (std::size_t i = 0; i < numbers_.size(); ++i) {
    auto& statistics = numbers_[i];
    if (!row.numbers[i]) {
      ++statistics.missing;
      continue;
    }
    const double value = *row.numbers[i], distance = value - statistics.mean;
    statistics.mean += distance / static_cast<double>(++statistics.count);
    statistics.squares += distance * (value - statistics.mean);
    if (statistics.is_sampled) statistics.values.add(value, rows_);
  }
  for (std::size_t f = 0; f < features_.size(); ++f) {
    auto& statistics = features_[f];
    const auto ids = row.feature(f);
    statistics.ids += static_cast<std::int64_t>(ids.size());
    statistics.missing += ids.empty();
    for (const RawId& id : ids) {
      statistics.largest_index = std::max(statistics.largest_index, id.index);
      if (!statistics.is_vocabulary) continue;
      const auto found = statistics.counts.find(id.text);
      if (found != statistics.counts.end())
        ++found->second;
      else
        statistics.counts.emplace(id.text, 1);
    }
  }
  for (std::size_t t = 0; t < texts_.size(); ++t) texts_[t].add(row.texts[t], options_.words.length);
  ++rows_;
}

Encoding EncodingLearner::finish() {
  Encoding encoding;
  encoding.label = columns_.label;
  encoding.has_weights = columns_.has_weights;
  encoding.options = encoding_options_text(options_);
  for (std::size_t i = 0; i < options_.dense.size(); ++i) encoding.dense.push_back(dense_column(i));
  for (std::size_t f = 0; f < features_.size(); ++f) encoding.features.push_back(id_column(f));
  for (const auto& name : options_.binned) encoding.features.push_back(binned_column(name));
  for (std::size_t t = 0; t < texts_.size(); ++t)
    encoding.texts.push_back({columns_.texts[t], options_.words.length, texts_[t].list(options_.words)});
  return encoding;
}

DenseColumn EncodingLearner::dense_column(std::size_t number) const {
  const auto& statistics = numbers_[number];
  DenseColumn column;
  column.name = columns_.numbers[number];
  column.normalize = options_.column(column.name).normalize;
  column.has_indicator = options_.has_missing_indicator && statistics.missing > 0;
  column.mean = statistics.mean;
  if (statistics.count > 0) {
    const double deviation = std::sqrt(statistics.squares / static_cast<double>(statistics.count));
    if (std::isnormal(deviation)) column.deviation = deviation;
  }
  if (column.normalize == Normalize::quantile) rank_knots(statistics.values.sorted(), column.knots, column.ranks);
  return column;
}

IdColumn EncodingLearner::binned_column(const std::string& name) const {
  const auto values = numbers_[columns_.number(name)].values.sorted();
  const auto& options = options_.column(name);
  IdColumn column;
  column.name = name;
  column.kind = IdColumn::Kind::bins;
  column.edges = bin_edges(
      values, options.bins,
      options.bin_by == BinBy::distinct || (options.bin_by == BinBy::automatic && has_majority_value(values)));
  column.rows = 2 + static_cast<std::int64_t>(column.edges.size());
  return column;
}

IdColumn EncodingLearner::id_column(std::size_t feature) {
  const RawFeature& raw = columns_.features[feature];
  const auto& options = options_.column(raw.name);
  auto& statistics = features_[feature];
  IdColumn column;
  column.name = raw.name;
  column.is_one_hot = raw.is_one_hot;
  column.is_weighted = raw.is_weighted;
  column.mean_ids = raw.is_one_hot ? 1 : static_cast<double>(statistics.ids) / static_cast<double>(rows_);
  if (raw.is_index) {
    column.kind = IdColumn::Kind::index;
    column.first_index = raw.first_index;
    column.has_unknown_index = !raw.end_index;
    const std::int64_t end =
        raw.end_index ? *raw.end_index : std::max(statistics.largest_index + 1, raw.first_index) + 1;
    column.rows = column.index_rows = end - raw.first_index;
  } else if (statistics.is_vocabulary) {
    column.missing_row = raw.is_one_hot && statistics.missing >= options.min_count ? 1 : 0;
    std::vector<std::pair<std::string, std::int64_t>> counts;
    for (auto& [word, count] : statistics.counts) counts.emplace_back(word, count);
    statistics.counts = {};
    column.vocabulary = Vocabulary(ordered_words(std::move(counts), options.min_count));
    column.rows = 1 + column.missing_row + static_cast<std::int64_t>(column.vocabulary.words().size());
  } else {
    column.kind = IdColumn::Kind::hash;
    column.rows = column.buckets = options.hash_buckets;
    column.hash_seed = options_.hash_seed;
  }
  if (options_.max_rows) {
    column.modulus = *options_.max_rows;
    column.rows = std::min(column.rows, column.modulus);
  }
  return column;
}

}  // namespace swallowtail
