// The weights of a run as files that other programs read. Names: dense parameters as the model calls them
// (bottom_mlp.0.weight), tables embedding.<table>.weight.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "trainer/export/trained_model.h"

namespace swallowtail {

/// One safetensors file. Returns {file, sha256, tensors}. Errors: resources.
nlohmann::json export_safetensors(const TrainedModel& model, const std::filesystem::path& file);

/// A folder with one .npy (format 1.0) a tensor. Returns {folder, sha256 {file -> digest}, tensors}.
nlohmann::json export_numpy(const TrainedModel& model, const std::filesystem::path& folder);

/// The same step as a checkpoint of `world_size` ranks, tables divided by rows, in folder/step-<n>; optimizer state and
/// averages too. Holds one rank's part. Returns {folder, manifest_sha256}. Errors: resources, damaged.
nlohmann::json export_resharded(const TrainedModel& model, const std::filesystem::path& folder, int world_size);

/// {checkpoint, digest, ok, tables [{name, rows, dim, bytes, norm, largest, state_bytes}], dense [..], files, base}.
/// Reads and checks every byte.
nlohmann::json inspect(const TrainedModel& model, int threads);

}  // namespace swallowtail
