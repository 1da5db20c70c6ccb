// What is written about items, as words and as vectors: the semantic half of SAP's item graph and of its re-ordering,
// and where the words of the content model start. The text of an item is its columns of free text and of several
// categories, whose names are words (genres, or titles of RecBole's files, which are token_seq), in the table's order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"
#include "trainer/data/interactions.h"
#include "trainer/data/word_list.h"
#include "trainer/sap/text/cbow.h"

namespace swallowtail {

/// model.text.* of CBOW.
CbowOptions cbow_options(const Experiment& experiment);

struct ItemTexts {
  WordList words;
  Corpus corpus;  // every column of every item is a text of its own: windows do not cross columns
  std::vector<std::int64_t> offsets{0};  // [items + 1] into corpus.words: an item's words, at most options.length
  std::int64_t items() const noexcept { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::span<const std::int64_t> of(std::int64_t item) const {
    return std::span(corpus.words)
        .subspan(static_cast<std::size_t>(offsets[item]), static_cast<std::size_t>(offsets[item + 1] - offsets[item]));
  }
};

/// Without such a column no item has words. The same on every rank.
ItemTexts item_texts(const Interactions& data, const WordOptions& options);

/// Collective: rank 0 trains on its corpus, the others, whose corpus is not read, get its vectors bit for bit.
WordVectors word_vectors(const Corpus& corpus, std::int64_t rows, const CbowOptions& options, Communicator& ranks);

struct ItemTextVectors {
  std::int64_t dim = 0;
  std::vector<float> values;  // [items, dim] of length 1; zero where an item has no words
  std::span<const float> of(std::int64_t item) const {
    return std::span(values).subspan(static_cast<std::size_t>(item * dim), static_cast<std::size_t>(dim));
  }
};

/// Means of the items' word vectors, rare words weighing more (a / (a + share), a = 0.001; Arora, Liang, Ma, ICLR
/// 2017), less the mean over all items, of length 1: a dot product is the semantic cosine of two items.
ItemTextVectors item_text_vectors(const ItemTexts& texts, const WordVectors& words);
/// The same from the start. Collective.
ItemTextVectors item_text_vectors(const Interactions& data, const Experiment& experiment, Communicator& ranks);

}  // namespace swallowtail
