// Word vectors: the loss against autograd, likeness against gensim, planted topics, and the same bits always.
#include "trainer/sap/text/cbow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>

#include "kernels/random.h"
#include "parallel/local_communicator.h"
#include "trainer/sap/text/item_text.h"

namespace swallowtail {
namespace {

nlohmann::json golden() {
  return nlohmann::json::parse(std::ifstream(SWALLOWTAIL_SOURCE_DIR "/tests/golden/text.json"));
}

double cosine(const WordVectors& vectors, std::int64_t a, std::int64_t b) {
  double ab = 0, aa = 0, bb = 0;
  for (std::int64_t d = 0; d < vectors.dim; ++d) {
    const double x = vectors.input[a * vectors.dim + d], y = vectors.input[b * vectors.dim + d];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}

std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return values[i]; });
  std::vector<double> ranks(values.size());
  for (std::size_t place = 0; place < order.size(); ++place) ranks[order[place]] = static_cast<double>(place);
  return ranks;
}

double spearman(const std::vector<double>& a, const std::vector<double>& b) {
  const auto x = ranks_of(a), y = ranks_of(b);
  const double n = static_cast<double>(x.size());
  double squares = 0;
  for (std::size_t i = 0; i < x.size(); ++i) squares += (x[i] - y[i]) * (x[i] - y[i]);
  return 1 - 6 * squares / (n * (n * n - 1));
}

/// Two topics of 20 words that never meet; a text has ten words of one.
Corpus topics(std::int64_t texts) {
  Corpus corpus;
  for (std::int64_t text = 0; text < texts; ++text) {
    std::vector<std::int64_t> words;
    for (std::uint64_t place = 0; place < 10; ++place)
      words.push_back(1 + text % 2 * 20 +
                      random::below(random::bits(7, 7, static_cast<std::uint64_t>(text), place), 20));
    corpus.add(words);
  }
  return corpus;
}

TEST(Cbow, LossAndGradientsAreThoseOfAutograd) {
  for (const auto& example : golden().at("gradients")) {
    const auto inputs = example.at("inputs").get<std::vector<std::vector<double>>>();
    const auto outputs = example.at("outputs").get<std::vector<std::vector<double>>>();
    const std::size_t dim = inputs.front().size();
    std::vector<double> h(dim, 0), h_gradient(dim), slopes(outputs.size());
    for (const auto& input : inputs)
      for (std::size_t d = 0; d < dim; ++d) h[d] += input[d] / static_cast<double>(inputs.size());
    std::vector<const double*> rows;
    for (const auto& output : outputs) rows.push_back(output.data());
    const double loss = cbow_loss<double>(h, rows, slopes, h_gradient, [&](const double* a, const double* b) {
      return std::inner_product(a, a + dim, b, 0.0);
    });
    EXPECT_NEAR(loss, example.at("loss").get<double>(), 1e-12);
    for (std::size_t d = 0; d < dim; ++d) {
      for (std::size_t c = 0; c < inputs.size(); ++c)
        EXPECT_NEAR(h_gradient[d] / static_cast<double>(inputs.size()),
                    example.at("input_gradients")[c][d].get<double>(), 1e-12);
      for (std::size_t k = 0; k < outputs.size(); ++k)
        EXPECT_NEAR(slopes[k] * h[d], example.at("output_gradients")[k][d].get<double>(), 1e-12);
    }
  }
}

TEST(Cbow, TheFirstLossIsThatOfKnowingNothing) {
  for (const std::int64_t negatives : {1, 5, 15}) {
    const auto vectors = train_cbow(topics(4), 41, {.dim = 10, .negatives = negatives, .epochs = 1});
    EXPECT_NEAR(vectors.first_loss, static_cast<double>(negatives + 1) * std::numbers::ln2, 1e-12);
  }
}

TEST(Cbow, WordsAreAlikeInTheOrderOfGensim) {
  const auto json = golden();
  const auto& settings = json.at("settings");
  Corpus corpus;
  for (const auto& text : json.at("texts")) corpus.add(text.get<std::vector<std::int64_t>>());
  const auto vectors = train_cbow(corpus, 60,
                                  {.dim = settings.at("dim"),
                                   .window = settings.at("window"),
                                   .negatives = settings.at("negatives"),
                                   .epochs = settings.at("epochs")});
  std::vector<double> ours, theirs;
  for (std::int64_t a = 1; a < 60; ++a)
    for (std::int64_t b = 0; b < a; ++b) {
      ours.push_back(cosine(vectors, a, b));
      theirs.push_back(json.at("cosines")[a][b].get<double>());
    }
  const double agreement = spearman(ours, theirs);
  RecordProperty("spearman", std::to_string(agreement));
  EXPECT_GE(agreement, 0.9);
  EXPECT_LT(vectors.losses.back(), vectors.losses.front());
}

TEST(Cbow, WordsOfOneTopicAreAlike) {
  const auto vectors = train_cbow(topics(400), 41, {.dim = 50});
  double same = 0, other = 0;
  for (std::int64_t a = 1; a < 41; ++a)
    for (std::int64_t b = 1; b < a; ++b)
      ((a <= 20) == (b <= 20) ? same : other) += cosine(vectors, a, b) / ((a <= 20) == (b <= 20) ? 380.0 : 400.0);
  EXPECT_GE(same - other, 0.5) << same << " against " << other;
}

TEST(Cbow, NothingToLearnLeavesVectorsAsDrawn) {
  Corpus alone;
  for (const std::int64_t word : {1, 2, 3}) alone.add(std::vector{word});
  const auto vectors = train_cbow(alone, 5, {.dim = 4});
  for (std::int64_t d = 0; d < 4; ++d) EXPECT_EQ(vectors.input[d], 0.0F);
  for (const float value : vectors.input) EXPECT_LE(std::abs(value), 0.125F);
  EXPECT_EQ(train_cbow({}, 5, {.dim = 4}).input, vectors.input);
  for (const float value : vectors.output) EXPECT_EQ(value, 0.0F);
}

Interactions two_genres() {
  Interactions data;
  std::vector<std::string> names;
  SideColumn title{.name = "title", .kind = SideColumn::Kind::text};
  SideColumn genre{
      .name = "genre", .kind = SideColumn::Kind::multi, .categories = {"Space", "Western"}, .offsets = {0}};
  for (std::int64_t item = 0; item < 40; ++item) {
    names.push_back(std::to_string(item));
    const std::int64_t topic = item % 2;
    std::string text;
    for (std::uint64_t place = 0; place < 6; ++place)
      text += (topic == 0 ? "star" : "horse") +
              std::to_string(random::below(random::bits(3, 3, static_cast<std::uint64_t>(item), place), 6)) + ", ";
    title.texts.push_back(item == 39 ? "" : text);
    if (item != 39) genre.codes.push_back(topic);
    genre.offsets.push_back(std::ssize(genre.codes));
  }
  data.items = IdList(names);
  data.item_table.columns = {title, genre};
  return data;
}

TEST(ItemText, ItemsOfOneTopicAreAlikeOnEveryRank) {
  const Interactions data = two_genres();
  const auto experiment = Experiment::parse("data: {source: interactions, train: none}\nmodel: {text: {dim: 16}}\n");
  for (const int world : {1, 3})
    run_ranks(world, [&](Communicator& ranks) {
      const ItemTextVectors vectors = item_text_vectors(data, experiment, ranks);
      static const std::vector<float> first = vectors.values;
      EXPECT_EQ(vectors.values, first);
      const auto product = [&](std::int64_t a, std::int64_t b) {
        return std::inner_product(vectors.of(a).begin(), vectors.of(a).end(), vectors.of(b).begin(), 0.0);
      };
      EXPECT_NEAR(product(3, 3), 1, 1e-6);
      double same = 0, other = 0;
      for (std::int64_t item = 2; item < 39; ++item) (item % 2 == 0 ? same : other) += product(0, item) / 19;
      EXPECT_GT(same - other, 0.5);
      EXPECT_EQ(product(39, 39), 0) << "an item without words is like none";
    });
}

TEST(ItemText, WithoutTextNoItemHasWords) {
  Interactions data = two_genres();
  data.item_table.columns.clear();
  const ItemTexts texts = item_texts(data, {});
  EXPECT_EQ(texts.items(), 40);
  EXPECT_TRUE(texts.corpus.words.empty());
}

}  // namespace
}  // namespace swallowtail
