// Word vectors by continuous bag of words with negative sampling. The mean h of the input vectors of the words around a
// word w is to tell w from K words of noise:
//   h = mean of context input vectors;   loss = -ln s(o_w . h) - sum over K of ln s(-o_n . h)
// Windows are shrunk by a draw; noise is in proportion to count^0.75 and is never w. Words are visited one after
// another, one update each, on one rank, so the result does not depend on ranks or threads. Source: Mikolov et al.,
// NIPS 2013. A context vector's rate is that of the outputs times the number of contexts, which takes back the division
// by the mean, as word2vec's C code and gensim do: with one rate for both, short windows outweigh long ones, and on the
// golden corpus the ranks of likeness correlate 0.76 with gensim's instead of 0.96.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace swallowtail {

struct CbowOptions {
  std::int64_t dim = 100;
  std::int64_t window = 5;                // words on each side, at most
  std::optional<std::int64_t> negatives;  // K; by default 5, or 15 below 1 M words of text
  std::optional<std::int64_t> epochs;     // by default 5, or 30 below 1 M words of text
  double first_rate = 0.025, last_rate = 1e-4;
  double keep = 1e-4;  // t: from 1 M words on, a word of share f stays with chance sqrt(t / f) + t / f
  std::uint64_t seed = 1;
};

/// Texts as rows of a word list, one after another.
struct Corpus {
  std::vector<std::int64_t> words;
  std::vector<std::int64_t> offsets{0};  // [texts + 1]
  void add(std::span<const std::int64_t> text) {
    words.insert(words.end(), text.begin(), text.end());
    offsets.push_back(static_cast<std::int64_t>(words.size()));
  }
};

struct WordVectors {
  std::int64_t dim = 0;
  std::vector<float> input, output;  // [rows, dim]; input rows that never occur stay as drawn, row 0 (pad) is zero
  std::vector<double> losses;        // mean loss of a visited word, one an epoch
  double first_loss = 0;             // of the first word: (K + 1) ln 2
};

/// `rows` of the word list. `tick` is called often. A corpus without two words side by side trains nothing.
WordVectors train_cbow(
    const Corpus& corpus, std::int64_t rows, const CbowOptions& options, const std::function<void()>& tick = [] {});

/// Loss of the mean h against a target and noise, and its gradients. outputs: K + 1 rows, the target's first; slopes
/// [K + 1] become d loss / d (o . h); h_gradient [dim] is overwritten. The gradient of output k is slopes[k] h, that of
/// each context vector h_gradient over their number.
template <typename Real, typename Dot>
double cbow_loss(std::span<const Real> h, std::span<const Real* const> outputs, std::span<Real> slopes,
                 std::span<Real> h_gradient, Dot dot) {
  double loss = 0;
  for (Real& g : h_gradient) g = 0;
  for (std::size_t k = 0; k < outputs.size(); ++k) {
    const double score = dot(outputs[k], h.data());
    const double x = k == 0 ? score : -score;  // to be large
    loss += x > 0 ? std::log1p(std::exp(-x)) : std::log1p(std::exp(x)) - x;
    const double slope = (k == 0 ? -1 : 1) / (1 + std::exp(x));
    slopes[k] = static_cast<Real>(slope);
    for (std::size_t d = 0; d < h.size(); ++d) h_gradient[d] += slopes[k] * outputs[k][d];
  }
  return loss;
}

}  // namespace swallowtail
