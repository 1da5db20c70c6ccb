// Interactions as one run of bytes: what rank 0 sends to the others and what a run stores in prepared/interactions.bin.
// Layout: "SWINTER1", then every field in the order of archive() in the source file: integers of 8 bytes, little
// endian, arrays behind their length. Trusted by nobody: from_bytes() checks every length against what is left.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "trainer/data/interactions.h"

namespace swallowtail {

std::vector<std::byte> to_bytes(const Interactions& interactions);

/// `name` stands in the error. Errors: damaged where the bytes are cut, too long, or their numbers lead outside.
Interactions from_bytes(std::span<const std::byte> bytes, const std::string& name);

/// Stores the bytes with their SHA-256 behind them. Errors: resources.
void store_interactions(const std::filesystem::path& path, std::span<const std::byte> bytes);
/// Errors: damaged where the file is not what was stored; usage where there is none.
std::vector<std::byte> load_interactions(const std::filesystem::path& path);

}  // namespace swallowtail
