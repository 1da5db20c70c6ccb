#include "trainer/embedding/table_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "trainer/config/nearest.h"

namespace swallowtail {

namespace {

EmbeddingInit parse_init(std::string_view name) {
  if (name == "normal") return EmbeddingInit::normal;
  return name == "zero" ? EmbeddingInit::zero : EmbeddingInit::uniform;
}

void refuse_unknown_tables(const Experiment& experiment, const DataShape& shape) {
  std::vector<std::string_view> known;
  for (const CategoricalFeature& feature : shape.categorical) known.push_back(feature.name);
  for (const auto& [name, section] : experiment.named_sections("embedding.tables")) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const std::string near = nearest(name, known);
    throw experiment.error("embedding.tables",
                           fmt::format("embedding.tables names '{}', which is no categorical column", name),
                           near.empty() ? "name a column of data.categorical, data.multi_hot or data.binned"
                                        : fmt::format("did you mean '{}'?", near));
  }
}

}  // namespace

Optimizer parse_optimizer(std::string_view name) {
  if (name == "adagrad") return Optimizer::adagrad;
  if (name == "rowwise_adagrad") return Optimizer::rowwise_adagrad;
  if (name == "adam") return Optimizer::adam;
  return name == "adamw" ? Optimizer::adamw : Optimizer::sgd;
}

std::vector<EmbeddingTable> tables_of_features(const Experiment& experiment, const DataShape& shape) {
  refuse_unknown_tables(experiment, shape);
  const auto overrides = experiment.named_sections("embedding.tables");
  std::vector<EmbeddingTable> tables;
  for (std::size_t f = 0; f < shape.categorical.size(); ++f) {
    const CategoricalFeature& feature = shape.categorical[f];
    const auto found = overrides.find(feature.name);
    // The override's section where it sets the key, else the common one.
    const auto from = [&](std::string_view key) -> std::pair<const Section&, std::string> {
      if (found != overrides.end() && found->second.has(key)) return {found->second, std::string(key)};
      return {experiment, "embedding." + std::string(key)};
    };
    const auto number = [&](std::string_view key) {
      const auto [section, name] = from(key);
      return section.number(name);
    };
    const auto text = [&](std::string_view key) {
      const auto [section, name] = from(key);
      return section.text(name);
    };
    const auto dim_set = found != overrides.end() && found->second.has("dim");
    const auto pooling_set = found != overrides.end() && found->second.has("pooling");

    EmbeddingTable& table = tables.emplace_back();
    table.name = feature.name;
    table.feature = static_cast<std::int64_t>(f);
    table.rows = feature.rows;
    table.mean_ids = feature.mean_ids;
    table.dim = dim_set           ? found->second.integer("dim")
                : feature.dim > 0 ? feature.dim
                                  : experiment.integer("model.embedding_dim");
    const std::string pooling = pooling_set ? found->second.text("pooling") : experiment.text("model.pooling");
    table.pooling = pooling == "mean" ? Pooling::mean : Pooling::sum;
    table.init = parse_init(text("init"));
    const auto [scale_section, scale_key] = from("init_scale");
    table.init_scale =
        scale_section.has(scale_key)
            ? static_cast<float>(scale_section.number(scale_key))
            : static_cast<float>(std::sqrt(1.0 / static_cast<double>(std::max<std::int64_t>(table.rows, 1))));
    table.optimizer.kind = parse_optimizer(text("optimizer"));
    table.optimizer.learning_rate = static_cast<float>(number("learning_rate"));
    table.optimizer.weight_decay = static_cast<float>(number("weight_decay"));
    table.optimizer.beta1 = static_cast<float>(experiment.number("embedding.beta1"));
    table.optimizer.beta2 = static_cast<float>(experiment.number("embedding.beta2"));
    table.optimizer.epsilon = experiment.has("embedding.epsilon")
                                  ? static_cast<float>(experiment.number("embedding.epsilon"))
                                  : usual_epsilon(table.optimizer.kind);
    table.zipf = feature.zipf;
    table.sharding = parse_sharding(text("sharding"));
    table.hashed_rows = text("row_order") == "hashed";
    table.initial_accumulator = static_cast<float>(experiment.number("embedding.initial_accumulator"));
  }
  return tables;
}

}  // namespace swallowtail
