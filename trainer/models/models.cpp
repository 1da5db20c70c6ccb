#include <array>

#include "trainer/models/dlrm.h"
#include "trainer/models/model.h"

namespace swallowtail {

namespace {
const std::array kModels{
    ModelEntry{"dlrm", "pooled embeddings and dense features meet by dot products or in a cross network (DCN-v2)",
               dlrm_embedding_tables, make_dlrm},
};
}  // namespace

std::span<const ModelEntry> models() { return kModels; }

const ModelEntry& find_model(const Experiment& experiment) {
  const std::string type = experiment.text("model.type");
  for (const ModelEntry& entry : kModels)
    if (entry.name == type) return entry;
  throw experiment.error("model.type", "unknown model '" + type + "'");
}

}  // namespace swallowtail
