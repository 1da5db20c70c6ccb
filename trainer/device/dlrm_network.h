// DLRM's dense part as a device needs to know it: shapes, and where each parameter stands in the flat array of all of
// them (training/dense_parameters.h). No torch, no pointers.
#pragma once

#include <cstdint>
#include <vector>

namespace swallowtail {

struct NetworkLayer {
  std::int64_t in = 0, out = 0;
  std::int64_t weight = 0, bias = 0;  // places of [out, in] and [out]; -1: no bias
};

struct NetworkCross {  // x0 * (U (V x) + b) + x; v has no bias
  NetworkLayer v, u;
};

struct DlrmNetwork {
  std::int64_t dense = 0, dim = 16;
  std::int64_t vectors = 0;  // tables that take part in the interaction; those behind them are linear terms, dim 1
  bool dot = true, itself = false;
  std::vector<NetworkLayer> bottom;  // ReLU behind each; empty without dense features
  std::vector<NetworkCross> cross;   // over all vectors concatenated, where it is no dot interaction
  std::vector<NetworkLayer> top;     // ReLU behind each but the last
  double dropout = 0;                // behind the top's ReLUs
  std::uint64_t dropout_layer = 0;   // key of the top's first layer
  std::int64_t dense_linear = -1;    // place of [dense], or -1
};

}  // namespace swallowtail
