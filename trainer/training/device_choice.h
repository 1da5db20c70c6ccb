// Where a rank of a run computes. This header knows no torch.
#pragma once

#include <span>
#include <string>

#include "trainer/config/experiment.h"
#include "trainer/embedding/table_shard.h"

namespace swallowtail {

struct DeviceChoice {
  bool on_device = false;
  int device = 0;            // of this process, where on_device
  std::string name = "cpu";  // for summary.json
  std::string note;          // for the log: what was chosen and why; empty: nothing to say
};

/// Devices that this process sees; 0: none. Errors: usage where cuda is asked for and there is none.
int devices_here(const Experiment& experiment);
/// What the log says where devices_here() is 0.
std::string why_no_device_here();

/// Of the shards in device memory; work space and batches come to it.
double table_bytes(std::span<const TableShard> shards);
/// Errors: resources where the tables need more than the device's free memory.
void refuse_tables_that_do_not_fit(std::span<const TableShard> shards, int device, const char* advice);

}  // namespace swallowtail
