// A content tower: users and items by what is known of them, without ids, so that cold ones are ranked like the others.
//   user   tower([columns of the users' table | mean content of the last items, or a learned `empty` vector])
//   item   tower([content | text vector | image vector])
//   score  <u, i> / sqrt(d) + (1 + w . u) ln(popularity of i)
//   content of an item: columns of its table, and its text as the mean of word vectors (trainer/sap/text)
// A sample is a stretch of a user's history, asked for at once; the softmax is over the whole catalogue, or over drawn
// candidates where it is large, without what the user had before. In training histories are emptied by draws, so that
// users without one are nothing new. The text encoder starts at CBOW's word vectors and is fine-tuned on this loss:
// SAP.md 2.2 and 2.3. What differs from there: the history's content is that of columns and word vectors, and an
// image's vector as the epoch began, for their gradient would need every item's tower in every step.
#include "trainer/rankers/content.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/random.h"
#include "trainer/data/image.h"
#include "trainer/models/image_encoder.h"
#include "trainer/models/text_encoder.h"
#include "trainer/rankers/before_step.h"
#include "trainer/rankers/neural_mf.h"
#include "trainer/rankers/side_features.h"
#include "trainer/ranking/alias_table.h"
#include "trainer/sap/text/item_text.h"

namespace swallowtail {
namespace {

constexpr double kFrozenShare = 0.1;  // of the steps, at the beginning
constexpr double kWordRate = 0.1;     // of the learning rate
constexpr double kReturn = 1e-3;      // weight of the words' way from where they started (L2-SP)
constexpr std::int64_t kImagesAtOnce = 64;
constexpr std::int64_t kItemsAtOnce = 256;  // scored: bounds memory
constexpr std::int64_t kBins = 8;           // of a number
constexpr float kNever = -std::numeric_limits<float>::infinity();

/// Items that a loss compares, rising, and what is added to the logit of each: minus the log of the chance to be drawn,
/// kNever for one that is here only as somebody's target.
struct Candidates {
  std::vector<std::int64_t> items;
  std::vector<float> correction;
  bool is_all = false;
  std::int64_t place(std::int64_t item) const {
    return is_all ? item : std::ranges::lower_bound(items, item) - items.begin();
  }
};

class Content final : public RankingNetwork, public BeforeStep {
 public:
  explicit Content(const RankerInput& input)
      : data_(input.data),
        train_(input.data.train),
        ranks_(input.ranks),
        items_(input.data.items.size()),
        users_(input.data.users.size()),
        length_(static_cast<std::size_t>(input.experiment.integer("model.sequence_length"))),
        stretch_(input.experiment.integer("model.content.stretch")),
        most_candidates_(input.experiment.integer("model.content.candidates")),
        empties_(input.experiment.number("model.content.history_dropout")),
        dropout_(input.experiment.number("model.dropout")),
        is_frozen_(input.experiment.boolean("model.text.frozen")),
        seed_(static_cast<std::uint64_t>(input.experiment.integer("seed"))),
        cbow_(cbow_options(input.experiment)),
        texts_(item_texts(input.data, word_options(input.experiment))),
        user_features_(side_features(input.data.user_table, users_,
                                     [this](std::int64_t user) { return train_.count(user) > 0; }, {.bins = kBins})),
        item_features_(side_features(input.data.item_table, items_, [](std::int64_t) { return true; }, {.bins = kBins})
                           .slice(0, 0, items_)) {
    for (std::int64_t user = 0; user < users_; ++user)
      for (std::int64_t number = 0; number * stretch_ < train_.count(user) + stretch_; ++number)
        if (train_.count(user) > 0) windows_.emplace_back(user, number);
    popularity_ = torch::empty({items_});
    std::vector<double> weights;
    const auto counts = item_counts(train_, items_);
    for (std::int64_t item = 0; item < items_; ++item) {
      popularity_[item] = std::log((static_cast<double>(counts[item]) + 0.5) / static_cast<double>(train_.size()));
      // Half of the draws by popularity, half over the catalogue: items without a reader are to be refused as well.
      weights.push_back(0.5 / static_cast<double>(items_) +
                        0.5 * static_cast<double>(counts[item]) / static_cast<double>(train_.size()));
    }
    if (items_ > most_candidates_) draws_.emplace(weights);
    make_layers(input);
  }

  std::int64_t epoch_samples() const override { return std::ssize(windows_); }
  double targets(std::int64_t sample, std::int64_t epoch) const override {
    const auto [first, last] = range(sample, epoch);
    return static_cast<double>(last - first);
  }

  void before_step(const NetworkStep& step) override {
    if (step.step == 1 && text_)
      text_->start_words(word_vectors(texts_.corpus, texts_.words.rows(), cbow_, ranks_).input);
    if ((step.step == 1 || step.begins_epoch) && image_) {
      const torch::NoGradGuard no_grad;
      std::vector<std::int64_t> items;
      for (std::int64_t first = 0; first < items_; first += kImagesAtOnce) {
        items.clear();
        for (std::int64_t item = first; item < std::min(items_, first + kImagesAtOnce); ++item) items.push_back(item);
        seen_.slice(0, first, first + std::ssize(items)).copy_(image_vectors(items));
      }
    }
    if (step.step == 1 || step.begins_epoch) content_ = torch::Tensor();
    content();  // made before the losses, which several threads may compute
  }

  torch::Tensor loss_sum(const NetworkBatch& batch) override {
    std::vector<RankingQuery> queries;
    std::vector<std::span<const std::int64_t>> asked, before;
    for (const std::int64_t sample : batch.samples) {
      const auto [first, last] = range(sample, batch.epoch);
      const std::int64_t user = windows_[sample].first;
      const auto history = train_.of(user);
      before.push_back(history.first(static_cast<std::size_t>(first)));
      asked.push_back(history.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first)));
      const std::uint64_t draw =
          random::bits(seed_, random::purpose("history dropout"), static_cast<std::uint64_t>(batch.epoch),
                       static_cast<std::uint64_t>(sample));
      queries.push_back({user, random::uniform(draw) < empties_ ? std::span<const std::int64_t>() : before.back()});
    }
    const Candidates candidates = candidates_of(batch, asked);
    const torch::Tensor logits =
        score_all(user_vectors(queries, &batch), item_vectors(candidates.items, &batch), candidates.items);
    const torch::Tensor correction =
        torch::tensor(candidates.correction).unsqueeze(0).repeat({std::ssize(queries), 1}).contiguous();
    auto* const rows = correction.data_ptr<float>();
    const std::int64_t width = correction.size(1);
    std::vector<std::int64_t> cells;
    for (std::int64_t b = 0; b < std::ssize(queries); ++b) {
      for (const std::int64_t item : before[b]) {
        const std::int64_t place = candidates.place(item);
        if (place < width && candidates.items[place] == item) rows[b * width + place] = kNever;
      }
      for (const std::int64_t item : asked[b]) {
        cells.push_back(b * width + candidates.place(item));
        rows[cells.back()] = 0;
      }
    }
    torch::Tensor loss = -torch::log_softmax(logits + correction, 1)
                              .reshape({-1})
                              .index_select(0, torch::tensor(cells, torch::kInt64))
                              .sum();
    if (text_ && words_move(batch.progress))
      loss = loss + kReturn * static_cast<double>(cells.size()) * text_->moved_squares();
    return loss;
  }

  torch::Tensor scores(std::span<const RankingQuery> queries) override {
    if (!all_items_.defined()) {
      every_item_.resize(static_cast<std::size_t>(items_));
      for (std::int64_t item = 0; item < items_; ++item) every_item_[item] = item;
      std::vector<torch::Tensor> parts;
      for (std::int64_t first = 0; first < items_; first += kItemsAtOnce)
        parts.push_back(item_vectors(std::span(every_item_)
                                         .subspan(static_cast<std::size_t>(first),
                                                  static_cast<std::size_t>(std::min(kItemsAtOnce, items_ - first))),
                                     nullptr));
      all_items_ = torch::cat(parts);
    }
    return score_all(user_vectors(queries, nullptr), all_items_, every_item_);
  }

  /// Vectors of the items are kept while nothing is trained: the first scores() makes them.
  void train(bool on) override {
    RankingNetwork::train(on);
    all_items_ = torch::Tensor();
    if (!on) content_ = torch::Tensor();  // the weights may have been read back
  }

  bool knows(const RankingQuery& query) const override {
    return !query.history.empty() || (query.user != kColdId && user_features_[query.user].any().item<bool>());
  }

 private:
  void make_layers(const RankerInput& input) {
    const Experiment& experiment = input.experiment;
    const std::int64_t dim = experiment.integer("model.embedding_dim");
    const auto widths = experiment.integers("model.tower");
    std::int64_t item_width = item_features_.size(1);
    if (!texts_.corpus.words.empty()) {
      const bool is_sgd = experiment.text("train.optimizer") == "sgd";
      text_ = register_module(
          "text", TextEncoder(TextEncoderOptions{.rows = texts_.words.rows(),
                                                 .dim = cbow_.dim,
                                                 .widths = experiment.integers("model.text.widths"),
                                                 .maps = experiment.integer("model.text.maps"),
                                                 .outputs = dim,
                                                 .dropout = experiment.number("model.text.dropout"),
                                                 // Adaptive steps do not see the unit; a plain gradient has it as well.
                                                 .shift_unit = is_sgd ? std::sqrt(kWordRate) : kWordRate}));
      item_width += cbow_.dim;
    }
    for (const SideColumn& column : data_.item_table.columns)
      if (column.kind == SideColumn::Kind::image) images_ = &column;
    content_width_ = item_width;
    if (text_) item_width += dim;
    if (images_ != nullptr) {
      image_ = register_module(
          "image", ImageEncoder(ImageEncoderOptions{.maps = experiment.integers("model.image.maps"), .outputs = dim}));
      seen_ = register_buffer("seen", torch::zeros({items_, dim}));
      content_width_ += dim;
      item_width += dim;
    }
    if (item_width == 0)
      throw experiment.error("model.type", "nothing is known of the items: no table, text or image",
                             "name what is: data.items=FILE, or a column of text in data.text");
    empty_ = register_parameter("empty", torch::zeros({content_width_}));
    user_tower_ = register_module("user_tower", Tower(user_features_.size(1) + content_width_, widths));
    user_out_ = register_module("user_out", torch::nn::Linear(user_tower_->outputs(), dim));
    user_popularity_ = register_module("user_popularity", torch::nn::Linear(user_tower_->outputs(), 1));
    item_tower_ = register_module("item_tower", Tower(item_width, widths));
    item_out_ = register_module("item_out", torch::nn::Linear(item_tower_->outputs(), dim));
    init_xavier(*this, seed_);
    const torch::NoGradGuard no_grad;
    for (const auto& parameter : named_parameters())
      if (parameter.key().ends_with(".bias")) parameter.value().zero_();
    user_popularity_->weight.zero_();
    if (text_) {
      for (const auto& parameter : text_->named_parameters()) parameter.value().zero_();
      text_->initialise(seed_, "text");
    }
    if (image_) image_->initialise(seed_, "image");
  }

  /// Positions [first, last) of the user's history that the sample asks for; cuts lie elsewhere in every epoch.
  std::pair<std::int64_t, std::int64_t> range(std::int64_t sample, std::int64_t epoch) const {
    const auto [user, number] = windows_[sample];
    const std::int64_t shift =
        random::below(random::bits(seed_, random::purpose("content stretch"), static_cast<std::uint64_t>(epoch),
                                   static_cast<std::uint64_t>(user)),
                      stretch_);
    const std::int64_t count = train_.count(user), end = shift + number * stretch_;
    return {std::min(count, std::max<std::int64_t>(0, end - stretch_)), std::min(count, end)};
  }

  bool words_move(double progress) const { return !is_frozen_ && progress >= kFrozenShare; }

  Candidates candidates_of(const NetworkBatch& batch, std::span<const std::span<const std::int64_t>> asked) const {
    Candidates candidates;
    if (!draws_) {
      candidates.is_all = true;
      for (std::int64_t item = 0; item < items_; ++item) candidates.items.push_back(item);
      candidates.correction.assign(candidates.items.size(), 0);
      return candidates;
    }
    std::vector<std::int64_t> drawn;
    for (std::int64_t k = 0; k < most_candidates_; ++k)
      drawn.push_back(draws_->draw(
          random::bits(seed_ ^ random::purpose("content candidates"), static_cast<std::uint64_t>(batch.step),
                       static_cast<std::uint64_t>(batch.first), static_cast<std::uint64_t>(k))));
    std::ranges::sort(drawn);
    candidates.items = drawn;
    for (const auto& items : asked) candidates.items.insert(candidates.items.end(), items.begin(), items.end());
    std::ranges::sort(candidates.items);
    candidates.items.erase(std::unique(candidates.items.begin(), candidates.items.end()), candidates.items.end());
    for (const std::int64_t item : candidates.items) {
      const double missed = std::exp(static_cast<double>(most_candidates_) * std::log1p(-draws_->probability(item)));
      candidates.correction.push_back(std::ranges::binary_search(drawn, item) ? static_cast<float>(-std::log1p(-missed))
                                                                              : kNever);
    }
    return candidates;
  }

  /// What a history knows of an item, [items, content].
  const torch::Tensor& content() {
    if (content_.defined()) return content_;
    const torch::NoGradGuard no_grad;
    content_ = item_features_;
    if (text_) {
      const auto* const words = text_->start().data_ptr<float>();
      const ItemTextVectors vectors = item_text_vectors(
          texts_, {.dim = cbow_.dim, .input = {words, words + text_->start().numel()}, .output = {}, .losses = {}});
      content_ = torch::cat({content_, torch::tensor(vectors.values).reshape({items_, cbow_.dim})}, 1);
    }
    if (image_) content_ = torch::cat({content_, seen_}, 1);
    return content_;
  }

  torch::Tensor image_vectors(std::span<const std::int64_t> items) {
    const torch::Tensor images = torch::zeros({std::ssize(items), 3, kImageSide, kImageSide});
    const torch::Tensor is_missing = torch::ones({std::ssize(items), 1}, torch::kBool);
    for (std::int64_t b = 0; b < std::ssize(items); ++b) {
      const std::int64_t image = images_->offsets[items[b]];
      if (images_->offsets[items[b] + 1] == image) continue;
      is_missing.data_ptr<bool>()[b] = false;
      for (std::int64_t i = 0; i < kImageBytes; ++i)
        images.data_ptr<float>()[b * kImageBytes + i] =
            static_cast<float>(images_->pixels[image * kImageBytes + i]) / 255.0F;
    }
    return image_(images, is_missing);
  }

  torch::Tensor item_vectors(std::span<const std::int64_t> items, const NetworkBatch* batch) {
    std::vector<torch::Tensor> parts{
        content()
            .slice(1, 0, content_width_ - (image_ ? seen_.size(1) : 0))
            .index_select(0, torch::tensor(std::vector(items.begin(), items.end()), torch::kInt64))};
    if (text_) {
      std::vector<std::int64_t> words, offsets{0};
      for (const std::int64_t item : items) {
        const auto text = texts_.of(item);
        words.insert(words.end(), text.begin(), text.end());
        offsets.push_back(std::ssize(words));
      }
      std::optional<TextDropout> drop;
      if (batch != nullptr) drop = TextDropout{{batch->seed, batch->step, random::purpose("text")}, batch->first};
      parts.push_back(
          text_->forward({words, offsets}, batch != nullptr && words_move(batch->progress), drop ? &*drop : nullptr));
    }
    if (image_) parts.push_back(image_vectors(items));
    return item_out_(item_tower_(torch::cat(parts, 1), dropout_, batch, random::purpose("item tower")));
  }

  /// [B, d + 1]; the last column says what popularity counts beyond 1.
  torch::Tensor user_vectors(std::span<const RankingQuery> queries, const NetworkBatch* batch) {
    std::vector<std::int64_t> ids, offsets, users;
    const torch::Tensor is_empty = torch::zeros({std::ssize(queries), 1}, torch::kBool);
    for (const RankingQuery& query : queries) {
      const auto kept = query.history.last(std::min(query.history.size(), length_));
      is_empty.data_ptr<bool>()[users.size()] = kept.empty();
      offsets.push_back(std::ssize(ids));
      ids.insert(ids.end(), kept.begin(), kept.end());
      users.push_back(query.user == kColdId ? users_ : query.user);
    }
    const torch::Tensor mean = torch::nn::functional::embedding_bag(torch::tensor(ids, torch::kInt64), content(),
                                                                    torch::nn::functional::EmbeddingBagFuncOptions()
                                                                        .offsets(torch::tensor(offsets, torch::kInt64))
                                                                        .mode(torch::kMean));
    const torch::Tensor about = user_features_.index_select(0, torch::tensor(users, torch::kInt64));
    const torch::Tensor hidden = user_tower_(torch::cat({about, torch::where(is_empty, empty_.unsqueeze(0), mean)}, 1),
                                             dropout_, batch, random::purpose("user tower"));
    return torch::cat({user_out_(hidden), user_popularity_(hidden)}, 1);
  }

  torch::Tensor score_all(const torch::Tensor& users, const torch::Tensor& vectors,
                          const std::vector<std::int64_t>& items) const {
    const std::int64_t dim = vectors.size(1);
    const torch::Tensor popular = popularity_.index_select(0, torch::tensor(items, torch::kInt64)).unsqueeze(0);
    return torch::matmul(users.slice(1, 0, dim), vectors.t()) / std::sqrt(static_cast<double>(dim)) +
           (1 + users.slice(1, dim)) * popular;
  }

  const Interactions& data_;
  const Histories& train_;
  Communicator& ranks_;
  std::int64_t items_, users_;
  std::size_t length_;
  std::int64_t stretch_, most_candidates_;
  double empties_, dropout_;
  bool is_frozen_;
  std::uint64_t seed_;
  CbowOptions cbow_;
  ItemTexts texts_;
  torch::Tensor user_features_, item_features_;                 // [users + 1, …], [items, …]
  std::vector<std::pair<std::int64_t, std::int64_t>> windows_;  // of each sample: its user and its number
  torch::Tensor popularity_;                                    // [items]
  std::optional<AliasTable> draws_;                             // nothing: the softmax is over all items
  std::int64_t content_width_ = 0;
  torch::Tensor content_, all_items_;
  std::vector<std::int64_t> every_item_;
  const SideColumn* images_ = nullptr;
  TextEncoder text_{nullptr};
  ImageEncoder image_{nullptr};
  torch::Tensor seen_;  // [items, d] vectors of images as the epoch began
  torch::Tensor empty_;
  Tower user_tower_{nullptr}, item_tower_{nullptr};
  torch::nn::Linear user_out_{nullptr}, user_popularity_{nullptr}, item_out_{nullptr};
};

}  // namespace

std::shared_ptr<RankingNetwork> make_content(const RankerInput& input) { return std::make_shared<Content>(input); }

}  // namespace swallowtail
