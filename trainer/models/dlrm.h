// DLRM: bottom MLP on dense features, pooled embeddings, dot interaction, top MLP. Source: Naumov et al.,
// arXiv:1906.00091. With `interaction: cross` it is DCN-v2 (Wang et al., arXiv:2008.13535), low-rank and stacked as in
// MLPerf: a cross network over all vectors concatenated, then the top MLP. Beside the papers: per-table dims joined by
// a projection to model.embedding_dim, `interaction: cat`, dropout in the top MLP, columns of text (text_encoder.h),
// whose vectors meet the others in the interaction, and linear terms (model.linear: one weight a category and a number,
// as in Wide & Deep, arXiv:1606.07792).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "trainer/models/model.h"

namespace swallowtail {

/// One table a categorical feature, under its name; with model.linear also `<name>.linear` of dim 1, starting at zero.
std::vector<EmbeddingTable> dlrm_embedding_tables(const Experiment& experiment, const DataShape& shape);

std::shared_ptr<Model> make_dlrm(const Experiment& experiment, const DataShape& shape,
                                 std::span<const EmbeddingTable> tables);

}  // namespace swallowtail
