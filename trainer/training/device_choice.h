// Where a rank of a run computes. This header knows no torch.
#pragma once

#include <string>

#include "trainer/config/experiment.h"

namespace swallowtail {

struct DeviceChoice {
  bool on_device = false;
  int device = 0;            // of this process, where on_device
  std::string name = "cpu";  // for summary.json
  std::string note;          // for the log: what was chosen and why; empty: nothing to say
};

/// Errors: usage where a ranking experiment asks for cuda.
void refuse_device_for_ranking(const Experiment& experiment);

}  // namespace swallowtail
