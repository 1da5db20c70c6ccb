// The data-parallel part of a step: matrix products, activations, parameters. From what the experiment says of the
// model.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/config/experiment.h"
#include "trainer/data/batch.h"
#include "trainer/embedding/embedding_table.h"

namespace swallowtail {

/// One linear layer: [B, in] x [in, out].
struct DenseLayer {
  std::int64_t in = 0, out = 0;
  bool is_bottom = false;  // of the MLP on the dense features, which waits for no table
  bool needs_input_gradient = true;
};

struct DenseWork {
  std::vector<DenseLayer> layers;
  double interaction_flop = 0;  // forward, a sample; the backward has twice as many
  std::int64_t parameters = 0;
  std::int64_t activations = 0;  // floats a sample: the outputs of all layers and of the interaction
  std::int64_t pooled = 0;       // floats a sample of pooled vectors
  std::int64_t dense_features = 0;
  int kernels = 0;  // started in a step, forward, backward and optimizers, tables included

  /// Of the training of one sample: forward, gradient of inputs, gradient of weights.
  double flop() const;
};

/// Of model.*, as trainer/models/dlrm.h makes it.
DenseWork dense_work(const Experiment& experiment, const DataShape& shape, std::span<const EmbeddingTable> tables);

/// Seconds of [m, k] x [k, n] on a device of so many multiprocessors and FLOP/s: whole tiles, in waves over the
/// multiprocessors, `k` split where that fills them better. 0 multiprocessors: no tiles.
double matrix_seconds(double m, double n, double k, double flops, int multiprocessors);

}  // namespace swallowtail
