#include "trainer/training/word_start.h"

#include <algorithm>
#include <numeric>

#include "trainer/models/reads_texts.h"
#include "trainer/sap/text/item_text.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kSamplesAtOnce = 4096;

Corpus corpus_of(const Dataset& data, std::size_t text) {
  Corpus corpus;
  Batch batch;
  std::vector<std::int64_t> samples;
  for (std::int64_t first = 0; first < data.size(); first += kSamplesAtOnce) {
    samples.resize(static_cast<std::size_t>(std::min(kSamplesAtOnce, data.size() - first)));
    std::iota(samples.begin(), samples.end(), first);
    data.read(samples, batch);
    const JaggedIds& texts = batch.texts[text];
    for (std::size_t b = 0; b < samples.size(); ++b)
      corpus.add(std::span(texts.values)
                     .subspan(static_cast<std::size_t>(texts.offsets[b]),
                              static_cast<std::size_t>(texts.offsets[b + 1] - texts.offsets[b])));
  }
  return corpus;
}

}  // namespace

void start_words(Session& session) {
  const CbowOptions options = cbow_options(session.experiment);
  if (options.epochs == 0) return;
  auto* const reader = dynamic_cast<ReadsTexts*>(session.model.get());
  if (reader == nullptr) return;
  auto encoders = reader->text_encoders();
  for (std::size_t text = 0; text < encoders.size(); ++text) {
    const Corpus corpus = session.ranks.rank() == 0 ? corpus_of(*session.data.train, text) : Corpus{};
    encoders[text]->start_words(word_vectors(corpus, encoders[text]->rows(), options, session.ranks).input);
  }
  if (!session.dense.average().empty()) std::ranges::copy(session.dense.weights(), session.dense.average().begin());
}

}  // namespace swallowtail
