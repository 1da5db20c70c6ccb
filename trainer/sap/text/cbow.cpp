#include "trainer/sap/text/cbow.h"

#include <algorithm>

#include "kernels/random.h"
#include "trainer/ranking/alias_table.h"
#include "trainer/ranking/dot.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kMany = 1'000'000;  // words of text from which on defaults change
constexpr double kNoisePower = 0.75;

class Trainer {
 public:
  Trainer(const Corpus& corpus, std::int64_t rows, const CbowOptions& options)
      : corpus_(corpus),
        options_(options),
        tokens_(static_cast<std::int64_t>(corpus.words.size())),
        negatives_(options.negatives.value_or(tokens_ < kMany ? 15 : 5)),
        epochs_(options.epochs.value_or(tokens_ < kMany ? 30 : 5)),
        counts_(static_cast<std::size_t>(rows), 0),
        h_(static_cast<std::size_t>(options.dim)),
        h_gradient_(h_),
        slopes_(static_cast<std::size_t>(negatives_) + 1) {
    vectors_.dim = options.dim;
    vectors_.input.resize(static_cast<std::size_t>(rows * options.dim));
    vectors_.output.assign(vectors_.input.size(), 0.0F);
    for (std::size_t i = static_cast<std::size_t>(options.dim); i < vectors_.input.size(); ++i)
      vectors_.input[i] =
          static_cast<float>((random::uniform(bits("word vector", i, 0)) - 0.5) / static_cast<double>(options.dim));
    for (const std::int64_t word : corpus.words) ++counts_[word];
    distinct_ = std::ranges::count_if(counts_, [](std::int64_t count) { return count > 0; });
    std::vector<double> weights;
    for (const std::int64_t count : counts_) weights.push_back(std::pow(static_cast<double>(count), kNoisePower));
    if (distinct_ > 1) noise_.emplace(weights);
  }

  WordVectors run(const std::function<void()>& tick) {
    if (distinct_ < 2) return std::move(vectors_);
    for (std::int64_t epoch = 0; epoch < epochs_; ++epoch) {
      double loss = 0;
      std::int64_t visited = 0;
      for (std::size_t text = 0; text + 1 < corpus_.offsets.size(); ++text) {
        keep_words(text, epoch);
        for (std::size_t place = 0; place < kept_.size(); ++place) {
          if (!visit(place, epoch, loss)) continue;
          if (epoch == 0 && visited == 0) vectors_.first_loss = loss;
          ++visited;
        }
        if (text % 64 == 0) tick();
      }
      vectors_.losses.push_back(visited == 0 ? 0 : loss / static_cast<double>(visited));
    }
    return std::move(vectors_);
  }

 private:
  std::uint64_t bits(std::string_view purpose, std::uint64_t a, std::uint64_t b) const {
    return random::bits(options_.seed, random::purpose(purpose), a, b);
  }
  float* row(std::vector<float>& table, std::int64_t word) { return table.data() + word * options_.dim; }

  /// The words of a text that this epoch reads, with their places in the corpus.
  void keep_words(std::size_t text, std::int64_t epoch) {
    kept_.clear();
    for (std::int64_t at = corpus_.offsets[text]; at < corpus_.offsets[text + 1]; ++at) {
      if (tokens_ >= kMany) {
        const double share = static_cast<double>(counts_[corpus_.words[at]]) / static_cast<double>(tokens_);
        const double chance = std::sqrt(options_.keep / share) + options_.keep / share;
        if (random::uniform(bits("keep word", static_cast<std::uint64_t>(epoch), static_cast<std::uint64_t>(at))) >=
            chance)
          continue;
      }
      kept_.push_back(at);
    }
  }

  bool visit(std::size_t place, std::int64_t epoch, double& loss) {
    const auto at = static_cast<std::uint64_t>(kept_[place]);
    const std::uint64_t key = bits("visit", static_cast<std::uint64_t>(epoch), at);
    const auto reach = static_cast<std::size_t>(1 + random::below(random::mix(key), options_.window));
    const std::size_t begin = place > reach ? place - reach : 0, end = std::min(kept_.size(), place + reach + 1);
    const std::size_t contexts = end - begin - 1;
    if (contexts == 0) return false;
    std::ranges::fill(h_, 0.0F);
    for (std::size_t c = begin; c < end; ++c) {
      if (c == place) continue;
      const float* const vector = row(vectors_.input, corpus_.words[kept_[c]]);
      for (std::size_t d = 0; d < h_.size(); ++d) h_[d] += vector[d];
    }
    const float share = 1.0F / static_cast<float>(contexts);
    for (float& value : h_) value *= share;

    const std::int64_t target = corpus_.words[at];
    outputs_.assign(1, row(vectors_.output, target));
    for (std::uint64_t draw = 1; std::ssize(outputs_) <= negatives_; ++draw) {
      const std::int64_t word = noise_->draw(random::mix(key ^ random::mix(draw)));
      if (word != target) outputs_.push_back(row(vectors_.output, word));
    }
    loss += cbow_loss<float>(h_, std::span<const float* const>(outputs_.data(), outputs_.size()), slopes_, h_gradient_,
                             [&](const float* a, const float* b) { return dot(a, b, options_.dim); });
    const double done = (static_cast<double>(epoch) + static_cast<double>(at) / static_cast<double>(tokens_)) /
                        static_cast<double>(epochs_);
    const auto rate = static_cast<float>(options_.first_rate + (options_.last_rate - options_.first_rate) * done);
    for (std::size_t k = 0; k < outputs_.size(); ++k)
      for (std::size_t d = 0; d < h_.size(); ++d) outputs_[k][d] -= rate * slopes_[k] * h_[d];
    for (std::size_t c = begin; c < end; ++c) {
      if (c == place) continue;
      float* const vector = row(vectors_.input, corpus_.words[kept_[c]]);
      for (std::size_t d = 0; d < h_.size(); ++d) vector[d] -= rate * h_gradient_[d];
    }
    return true;
  }

  const Corpus& corpus_;
  const CbowOptions& options_;
  std::int64_t tokens_, negatives_, epochs_, distinct_ = 0;
  std::vector<std::int64_t> counts_, kept_;
  std::optional<AliasTable> noise_;
  std::vector<float> h_, h_gradient_, slopes_;
  std::vector<float*> outputs_;
  WordVectors vectors_;
};

}  // namespace

WordVectors train_cbow(const Corpus& corpus, std::int64_t rows, const CbowOptions& options,
                       const std::function<void()>& tick) {
  return Trainer(corpus, rows, options).run(tick);
}

}  // namespace swallowtail
