#include "trainer/sap/text/item_text.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace swallowtail {
namespace {

constexpr auto kBeat = std::chrono::seconds(5);
constexpr double kRare = 1e-3;

/// The column's text of an item; empty where it has none.
std::string text_of(const SideColumn& column, std::int64_t item) {
  if (column.kind == SideColumn::Kind::text) return column.texts[item];
  std::string text;
  for (std::int64_t c = column.offsets[item]; c < column.offsets[item + 1]; ++c)
    text += column.categories[column.codes[c]] + ' ';
  return text;
}

std::vector<const SideColumn*> text_columns(const SideTable& table) {
  std::vector<const SideColumn*> columns;
  for (const SideColumn& column : table.columns)
    if (column.kind == SideColumn::Kind::text || column.kind == SideColumn::Kind::multi) columns.push_back(&column);
  return columns;
}

}  // namespace

CbowOptions cbow_options(const Experiment& experiment) {
  CbowOptions options;
  options.dim = experiment.integer("model.text.dim");
  options.window = experiment.integer("model.text.window");
  if (experiment.has("model.text.negatives")) options.negatives = experiment.integer("model.text.negatives");
  if (experiment.has("model.text.epochs")) options.epochs = experiment.integer("model.text.epochs");
  options.seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  return options;
}

ItemTexts item_texts(const Interactions& data, const WordOptions& options) {
  const auto columns = text_columns(data.item_table);
  const std::int64_t items = data.items.size();
  WordCounter counter;
  for (std::int64_t item = 0; item < items; ++item)
    for (const SideColumn* const column : columns) counter.add(text_of(*column, item), options.length);
  ItemTexts texts;
  texts.words = counter.list(options);
  for (std::int64_t item = 0; item < items; ++item) {
    for (const SideColumn* const column : columns) {
      const std::int64_t left = options.length - (std::ssize(texts.corpus.words) - texts.offsets.back());
      if (left > 0) texts.corpus.add(texts.words.rows_of(text_of(*column, item), left));
    }
    texts.offsets.push_back(std::ssize(texts.corpus.words));
  }
  return texts;
}

WordVectors word_vectors(const Corpus& corpus, std::int64_t rows, const CbowOptions& options, Communicator& ranks) {
  // Rank 0 tells the others again and again that it is at work: they wait in a collective, which must not time out.
  WordVectors vectors;
  std::int64_t beat = 0, is_done = 0;
  const auto tell = [&] {
    ranks.broadcast({.operation = "word vectors", .step = beat++}, 0, std::as_writable_bytes(std::span(&is_done, 1)));
  };
  if (ranks.rank() == 0) {
    auto last = std::chrono::steady_clock::now();
    vectors = train_cbow(corpus, rows, options, [&] {
      if (ranks.world_size() == 1 || std::chrono::steady_clock::now() - last < kBeat) return;
      tell();
      last = std::chrono::steady_clock::now();
    });
    is_done = 1;
    tell();
  } else {
    do tell();
    while (is_done == 0);
    vectors.dim = options.dim;
    vectors.input.resize(static_cast<std::size_t>(rows * options.dim));
    vectors.output.resize(vectors.input.size());
  }
  for (auto* const table : {&vectors.input, &vectors.output})
    ranks.broadcast({.operation = "word vectors", .step = beat++}, 0, std::as_writable_bytes(std::span(*table)));
  return vectors;
}

ItemTextVectors item_text_vectors(const ItemTexts& texts, const WordVectors& words) {
  const std::int64_t dim = words.dim, items = texts.items();
  const auto tokens = static_cast<double>(std::max<std::size_t>(1, texts.corpus.words.size()));
  std::vector<double> counts(static_cast<std::size_t>(texts.words.rows()), 0);
  for (const std::int64_t word : texts.corpus.words) ++counts[word];
  std::vector<double> sums(static_cast<std::size_t>(items * dim), 0), mean(static_cast<std::size_t>(dim), 0);
  double filled = 0;
  for (std::int64_t item = 0; item < items; ++item) {
    double* const sum = sums.data() + item * dim;
    double weights = 0;
    for (const std::int64_t word : texts.of(item)) {
      const double weight = kRare / (kRare + counts[word] / tokens);
      for (std::int64_t d = 0; d < dim; ++d) sum[d] += weight * words.input[word * dim + d];
      weights += weight;
    }
    if (weights == 0) continue;
    for (std::int64_t d = 0; d < dim; ++d) mean[d] += sum[d] /= weights;
    ++filled;
  }
  ItemTextVectors vectors{.dim = dim, .values = std::vector<float>(sums.size(), 0.0F)};
  for (std::int64_t item = 0; item < items; ++item) {
    if (texts.of(item).empty()) continue;
    double* const sum = sums.data() + item * dim;
    double squares = 0;
    for (std::int64_t d = 0; d < dim; ++d) {
      sum[d] -= mean[d] / filled;
      squares += sum[d] * sum[d];
    }
    if (squares > 0)
      for (std::int64_t d = 0; d < dim; ++d)
        vectors.values[item * dim + d] = static_cast<float>(sum[d] / std::sqrt(squares));
  }
  return vectors;
}

ItemTextVectors item_text_vectors(const Interactions& data, const Experiment& experiment, Communicator& ranks) {
  const ItemTexts texts = item_texts(data, word_options(experiment));
  return item_text_vectors(texts, word_vectors(texts.corpus, texts.words.rows(), cbow_options(experiment), ranks));
}

}  // namespace swallowtail
