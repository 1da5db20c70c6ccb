// What a ranking network may be beside RankingNetwork: one that makes something before a step, such as word vectors.
#pragma once

#include <cstdint>

namespace swallowtail {

struct NetworkStep {
  std::int64_t step = 1;
  bool begins_epoch = false;
};

class BeforeStep {
 public:
  virtual ~BeforeStep() = default;
  /// Before the losses of a step, on every rank alike, which may compute together here. What is made here and cannot be
  /// made again is a buffer of the module: a checkpoint holds buffers as well as parameters.
  virtual void before_step(const NetworkStep& step) = 0;
};

}  // namespace swallowtail
