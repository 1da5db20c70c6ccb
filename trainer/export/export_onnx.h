// A trained model as an ONNX graph: embedding lookups, pooling and the dense part.
// Inputs   dense [batch, dense features] fp32, encoded as training encodes them; ids_<feature> [batch, any] int64 rows
//          of its tables, short bags filled up with -1; weights_<feature> of the same shape where its ids carry weights
// Outputs  logits [batch, labels], probabilities (their sigmoid)
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "trainer/export/trained_model.h"

namespace swallowtail {

/// Returns {file, sha256 {file name -> digest}, inputs}. Errors: usage for a model type that has no graph; resources.
nlohmann::json export_onnx(const TrainedModel& model, const std::filesystem::path& file);

}  // namespace swallowtail
