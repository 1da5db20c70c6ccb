// Which tables of one rank lie in the device's memory as a whole, and which get a row cache there:
// parallel.device_table_mib.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trainer/training/session.h"

namespace swallowtail {

/// Of this rank's device, now.
double free_device_bytes(const Session& session);

/// DeviceModel::cache_slots of a run with one rank. Errors: resources, where not even caches fit, or
/// parallel.device_table_mib is 0 and the tables do not fit.
std::vector<std::int64_t> choose_row_caches(Session& session, const DeviceModel& model);

/// For the log, e.g. "'a' (16 of 100 rows), 'b' (32 of 90 rows)"; empty where no table is cached.
std::string name_row_caches(const Session& session, const std::vector<std::int64_t>& slots);

}  // namespace swallowtail
