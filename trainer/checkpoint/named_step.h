// Which checkpoint "best", "last" or "step-<n>" means.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace swallowtail {

/// Errors: usage where the run has no such checkpoint; damaged where the newest, which names the best, is.
std::int64_t named_step(const std::filesystem::path& checkpoints, const std::string& wanted);

}  // namespace swallowtail
