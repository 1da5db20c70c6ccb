// The tables of synthetic data: those of data.tables, or a preset whose figures are published.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/config/experiment.h"

namespace swallowtail {

struct SyntheticTable {
  std::string name;
  std::int64_t rows = 0;
  std::int64_t dim = 0;       // 0: the model's embedding_dim
  double pooling_factor = 1;  // ids a bag: exactly, or uniform in 1 … pooling_factor
  bool fixed = true;
  double zipf = 0;  // exponent of the ids' popularity where the distribution is zipf
};

struct SyntheticShape {
  std::vector<SyntheticTable> tables;
  std::int64_t dense_features = 0;
};

/// Presets: kaggle (Criteo Kaggle, 26 tables), criteo_1tb (one-hot, 40M cap), dcnv2_mlperf (the same rows, multi-hot),
/// multihot (those capped at 200,000 rows, to fit one machine), bench (8 tables of 1M rows, 100 ids a bag).
/// Sources: the reference DLRM's scripts, MLPerf Training DLRM-DCNv2. Errors: usage at the key.
SyntheticShape synthetic_shape(const Section& experiment);

}  // namespace swallowtail
