// The parts of a run, composed from an experiment: data, model, tables, parameters, and how batches are shared out.
// train() and evaluate() both build one; a test may too.
#pragma once

#include <memory>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"
#include "trainer/data/dataset.h"
#include "trainer/device/device_trainer.h"
#include "trainer/embedding/sharded_embedding.h"
#include "trainer/models/model.h"
#include "trainer/training/batch_share.h"
#include "trainer/training/dense_parameters.h"
#include "trainer/training/device_choice.h"
#include "trainer/training/loss.h"

namespace swallowtail {

struct Session {
  /// Sets the threads of this rank (train.threads, or the cores divided by the machine's ranks) and builds everything.
  /// choice: of choose_device() (device_run.h); by default the CPU.
  Session(const Experiment& experiment, Data data, Communicator& ranks, const DeviceChoice& choice = {});

  const Experiment experiment;
  Communicator& ranks;
  DeviceChoice choice;  // the CPU after all, where parallel.device is auto and the data have what no device trains
  Data data;
  std::vector<EmbeddingTable> tables;
  std::shared_ptr<Model> model;
  ShardedEmbedding embedding;
  DenseParameters dense;
  std::unique_ptr<DensePass> pass;  // of the model, or through autograd (train.autograd)
  BatchShare share;
  LossOptions loss;
  std::uint64_t seed;
  bool overlap;                           // parallel.overlap: exchanges beside the arithmetic
  bool averaging;                         // train.average_decay > 0: averaged weights are evaluated beside the raw ones
  std::unique_ptr<DeviceTrainer> device;  // the whole step on a device; null elsewhere
};

}  // namespace swallowtail
