#include "trainer/models/dlrm.h"

#include <algorithm>

#include "kernels/interaction.h"
#include "kernels/random.h"
#include "trainer/config/cross_network.h"
#include "trainer/embedding/table_options.h"
#include "trainer/models/dlrm_pass.h"
#include "trainer/models/layers.h"
#include "trainer/models/reads_texts.h"

namespace swallowtail {

namespace {

struct DlrmOptions {
  std::int64_t dense = 0, dim = 16, labels = 1;
  std::vector<std::int64_t> bottom, top;  // hidden widths
  bool dot = true, itself = false, linear = false;
  std::optional<CrossNetwork> cross;
  double dropout = 0;
  std::vector<TextEncoderOptions> texts;
  bool words_move = true;
};

class Dlrm : public Model, public ReadsTexts {
 public:
  Dlrm(const DlrmOptions& options, std::span<const EmbeddingTable> tables) : options_(options) {
    vectors_ = static_cast<std::int64_t>(options_.linear ? tables.size() / 2 : tables.size());
    if (options_.dense > 0) {
      std::vector<std::int64_t> widths = options_.bottom;
      widths.push_back(options_.dim);
      bottom_mlp_ = register_module("bottom_mlp",
                                    Mlp(options_.dense, widths, /*relu_last=*/true, 0.0, random::purpose("bottom")));
    }
    projections_.resize(static_cast<std::size_t>(vectors_), nullptr);
    for (std::int64_t t = 0; t < vectors_; ++t)
      if (tables[t].dim != options_.dim)
        projections_[t] =
            register_module("projection_" + std::to_string(t),
                            torch::nn::Linear(torch::nn::LinearOptions(tables[t].dim, options_.dim).bias(false)));
    for (const TextEncoderOptions& text : options_.texts)
      texts_.push_back(register_module("text_" + std::to_string(texts_.size()), TextEncoder(text)));
    const std::int64_t features = vectors_ + std::ssize(texts_) + (options_.dense > 0 ? 1 : 0);
    const InteractionShape shape{0, options_.dim, options_.itself, options_.dense > 0};
    if (options_.cross)
      cross_ =
          register_module("cross", CrossNet(features * options_.dim, options_.cross->rank, options_.cross->layers));
    const std::int64_t inputs = options_.dot ? interaction_width(features, shape) : features * options_.dim;
    std::vector<std::int64_t> widths = options_.top;
    widths.push_back(options_.labels);
    top_mlp_ =
        register_module("top_mlp", Mlp(inputs, widths, /*relu_last=*/false, options_.dropout, random::purpose("top")));
    if (options_.linear && options_.dense > 0)
      dense_linear_ = register_parameter("dense_linear", torch::zeros({options_.dense, options_.labels}));
  }

  torch::Tensor bottom(const ModelInput& input) override {
    return options_.dense > 0 ? bottom_mlp_->forward(input.dense, input) : torch::Tensor();
  }

  torch::Tensor forward(const ModelInput& input) override {
    std::vector<torch::Tensor> vectors;  // F tensors [B, D]
    if (options_.dense > 0) vectors.push_back(input.bottom.defined() ? input.bottom : bottom(input));
    for (std::int64_t t = 0; t < vectors_; ++t)
      vectors.push_back(projections_[t] ? projections_[t]->forward(input.pooled[t]) : input.pooled[t]);
    const std::vector<std::int64_t> no_words(static_cast<std::size_t>(input.dense.size(0)) + 1, 0);
    for (std::size_t t = 0; t < texts_.size(); ++t) {
      const TextDropout drop{{input.seed, input.step, random::purpose("text") + t}, input.first_sample};
      vectors.push_back(texts_[t]->forward(texts_of(input, t, no_words), options_.words_move && input.training,
                                           input.training ? &drop : nullptr));
    }
    torch::Tensor crossed =
        options_.dot ? dot_interaction(vectors, options_.itself, options_.dense > 0) : torch::cat(vectors, 1);
    if (cross_) crossed = cross_->forward(crossed);
    torch::Tensor logits = top_mlp_->forward(crossed, input);  // [B, L]
    if (options_.linear) {
      for (std::size_t t = static_cast<std::size_t>(vectors_); t < input.pooled.size(); ++t)
        logits = logits + input.pooled[t];
      if (options_.dense > 0) logits = logits + input.dense.matmul(dense_linear_);
    }
    return logits;
  }

  std::optional<DlrmNetwork> network(const float* parameters) override {
    if (projects() || !texts_.empty() || options_.labels != 1) return {};
    const auto layers_of = [&](Mlp& mlp) {
      std::vector<NetworkLayer> layers;
      for (const auto& layer : mlp->layers())
        layers.push_back({layer->weight.size(1), layer->weight.size(0), layer->weight.data_ptr<float>() - parameters,
                          layer->bias.data_ptr<float>() - parameters});
      return layers;
    };
    DlrmNetwork made{.dense = options_.dense,
                     .dim = options_.dim,
                     .vectors = vectors_,
                     .dot = options_.dot,
                     .itself = options_.itself,
                     .bottom = bottom_mlp_ ? layers_of(bottom_mlp_) : std::vector<NetworkLayer>{},
                     .cross = cross_layers_of(parameters),
                     .top = layers_of(top_mlp_),
                     .dropout = options_.dropout,
                     .dropout_layer = top_mlp_->layer_key()};
    if (dense_linear_.defined()) made.dense_linear = dense_linear_.data_ptr<float>() - parameters;
    return made;
  }

  void read_texts(std::span<const JaggedIds> texts, std::int64_t first_sample) override {
    batch_texts_ = texts;
    first_text_ = first_sample;
  }
  std::vector<TextEncoder> text_encoders() override { return texts_; }

  std::unique_ptr<DensePass> dense_pass() override {
    if (projects() || !texts_.empty() || options_.labels != 1) return nullptr;
    return std::make_unique<DlrmPass>(DlrmParts{.dense = options_.dense,
                                                .dim = options_.dim,
                                                .vectors = vectors_,
                                                .dot = options_.dot,
                                                .itself = options_.itself,
                                                .bottom = bottom_mlp_ ? bottom_mlp_.get() : nullptr,
                                                .cross = cross_ ? cross_.get() : nullptr,
                                                .top = top_mlp_.get(),
                                                .dense_linear = dense_linear_});
  }

 private:
  bool projects() const {
    return std::ranges::any_of(projections_, [](const auto& of) { return !of.is_empty(); });
  }

  std::vector<NetworkCross> cross_layers_of(const float* parameters) {
    std::vector<NetworkCross> layers;
    if (!cross_) return layers;
    const auto place = [&](const torch::Tensor& parameter) { return parameter.data_ptr<float>() - parameters; };
    for (const auto& layer : cross_->layers()) {
      const std::int64_t width = layer->bias.size(0), rank = layer->v->weight.size(0);
      layers.push_back({.v = {width, rank, place(layer->v->weight), -1},
                        .u = {rank, width, place(layer->u->weight), place(layer->bias)}});
    }
    return layers;
  }

  TextsView texts_of(const ModelInput& input, std::size_t column, std::span<const std::int64_t> no_words) const {
    if (batch_texts_.empty()) return {{}, no_words};
    const JaggedIds& all = batch_texts_[column];
    return {
        all.values,
        std::span(all.offsets).subspan(static_cast<std::size_t>(input.first_sample - first_text_), no_words.size())};
  }

  DlrmOptions options_;
  std::int64_t vectors_ = 0;  // tables that take part in the interaction
  Mlp bottom_mlp_{nullptr}, top_mlp_{nullptr};
  CrossNet cross_{nullptr};
  std::vector<torch::nn::Linear> projections_;  // null where the table's dim is the model's
  std::vector<TextEncoder> texts_;
  std::span<const JaggedIds> batch_texts_;  // of the batch that forward() is about
  std::int64_t first_text_ = 0;
  torch::Tensor dense_linear_;  // [dense, L]
};

}  // namespace

std::vector<EmbeddingTable> dlrm_embedding_tables(const Experiment& experiment, const DataShape& shape) {
  std::vector<EmbeddingTable> tables = tables_of_features(experiment, shape);
  if (experiment.boolean("model.linear"))
    for (std::size_t t = 0; t < shape.categorical.size(); ++t) {
      EmbeddingTable linear = tables[t];
      linear.name += ".linear";
      linear.dim = 1;
      linear.init = EmbeddingInit::zero;
      linear.init_scale = 0;
      tables.push_back(linear);
    }
  return tables;
}

std::shared_ptr<Model> make_dlrm(const Experiment& experiment, const DataShape& shape,
                                 std::span<const EmbeddingTable> tables) {
  DlrmOptions options;
  options.dense = static_cast<std::int64_t>(shape.dense.size());
  options.labels = static_cast<std::int64_t>(shape.labels.size());
  options.dim = experiment.integer("model.embedding_dim");
  options.bottom = experiment.integers("model.bottom_mlp");
  options.top = experiment.integers("model.top_mlp");
  options.dot = experiment.text("model.interaction") == "dot";
  options.itself = experiment.boolean("model.interaction_itself");
  options.linear = experiment.boolean("model.linear");
  options.dropout = experiment.number("model.dropout");
  options.words_move = !experiment.boolean("model.text.frozen");
  for (const TextColumn& column : shape.texts)
    options.texts.push_back({.rows = column.rows,
                             .dim = experiment.integer("model.text.dim"),
                             .widths = experiment.integers("model.text.widths"),
                             .maps = experiment.integer("model.text.maps"),
                             .outputs = options.dim,
                             .dropout = experiment.number("model.text.dropout")});

  const std::int64_t features = std::ssize(shape.categorical) + std::ssize(shape.texts) + (options.dense > 0 ? 1 : 0);
  if (features == 0)
    throw experiment.error("model.type", "the data have neither dense nor categorical columns nor text",
                           "name them in data.dense, data.categorical or data.text");
  if (options.dot && options.dense == 0 && interaction_pairs(features, options.itself) == 0)
    throw experiment.error("model.interaction", "one vector alone has no pair to interact with",
                           "add columns, or set model.interaction: cat");
  options.cross = cross_network(experiment, features * options.dim);
  auto model = std::make_shared<Dlrm>(options, tables);
  const auto seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  initialise_linear_layers(*model, seed);
  auto encoders = model->text_encoders();
  for (std::size_t t = 0; t < encoders.size(); ++t) encoders[t]->initialise(seed, "text_" + std::to_string(t));
  return model;
}

}  // namespace swallowtail
