#include "trainer/training/row_cache_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "trainer/device/table_room.h"
#include "trainer/training/device_choice.h"

namespace swallowtail {

double free_device_bytes(const Session& session) {
  return static_cast<double>(device_backend()->free_bytes(session.choice.device));
}

namespace {

/// Bytes of device memory for one rank's tables: what work and a reserve leave of the free memory, and no more than
/// parallel.device_table_mib.
std::int64_t room_for_tables(Session& session, const DeviceModel& model) {
  const Experiment& experiment = session.experiment;
  std::int64_t samples = experiment.integer("train.batch_size");
  if (experiment.has("evaluation.batch_size")) samples = std::max(samples, experiment.integer("evaluation.batch_size"));
  // The reserve: cuBLAS's workspace, the kernels' code, the allocator's rounding.
  const double free = free_device_bytes(session), reserve = free / 16;
  double room = free - reserve - static_cast<double>(work_bytes(model, samples));
  if (experiment.has("parallel.device_table_mib"))
    room = std::min(room, experiment.number("parallel.device_table_mib") * 0x1p20);
  return static_cast<std::int64_t>(std::max(0.0, room));
}

std::vector<TableDemand> table_demands(Session& session) {
  const Experiment& experiment = session.experiment;
  const auto batch_size = static_cast<double>(experiment.integer("train.batch_size"));
  std::vector<TableDemand> demands;
  for (const EmbeddingTable& table : session.tables) {
    const std::int64_t average = session.averaging ? table.dim + 1 : 0;
    demands.push_back({.rows = table.rows,
                       .row_bytes = 4 * (table.dim + sparse_state_width(table.optimizer.kind, table.dim) + average),
                       .batch_ids = static_cast<std::int64_t>(std::ceil(table.mean_ids * batch_size))});
  }
  return demands;
}

}  // namespace

std::vector<std::int64_t> choose_row_caches(Session& session, const DeviceModel& model) {
  const Experiment& experiment = session.experiment;
  const char* const advice =
      "raise parallel.device_table_mib or leave it out, use more ranks or a smaller batch, or parallel.device: cpu";
  if (experiment.has("parallel.device_table_mib") && experiment.number("parallel.device_table_mib") == 0) {
    refuse_tables_that_do_not_fit(session.embedding.shards(), session.choice.device, advice);
    return {};
  }
  const std::int64_t room = room_for_tables(session, model);
  if (auto slots = plan_row_caches(table_demands(session), room)) return *slots;
  throw Error{ExitCode::resources,
              fmt::format("the embedding tables may take {:.2f} MiB of device memory, too little even for row caches",
                          static_cast<double>(room) / 0x1p20),
              fmt::format("device {}", session.choice.device), advice};
}

std::string name_row_caches(const Session& session, const std::vector<std::int64_t>& slots) {
  std::string names;
  for (std::size_t t = 0; t < slots.size(); ++t)
    if (slots[t] > 0)
      names += fmt::format("{}'{}' ({} of {} rows)", names.empty() ? "" : ", ", session.tables[t].name, slots[t],
                           session.tables[t].rows);
  return names;
}

}  // namespace swallowtail
