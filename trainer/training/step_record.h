// What another program needs to make the same steps: initial weights and batches, in one safetensors file.
#pragma once

#include <filesystem>
#include <vector>

#include "trainer/data/batch.h"
#include "trainer/training/session.h"

namespace swallowtail {

/// dense.NAME [its shape]; tables [T, 2] rows and dim of every table; table.T.rows [U], table.T.values [U, dim] of the
/// rows that the batches touch; batch.B.dense [samples, features], batch.B.labels [samples],
/// batch.B.T.values and batch.B.T.offsets of every table. Requires one rank that holds all tables whole.
/// Errors: resources where the file cannot be written.
void record_steps(const std::filesystem::path& file, Session& session, const std::vector<Batch>& batches);

}  // namespace swallowtail
