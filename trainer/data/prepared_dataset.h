// A split of the prepared store as a dataset: files mapped into memory, samples read at random.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "trainer/data/dataset.h"

namespace swallowtail {

/// Errors: ExitCode::data where the manifest is damaged or a file has not the size that the manifest says. Ids and
/// positions are checked when they are read (read() then throws ExitCode::data), not here: a scan would touch every
/// page.
std::unique_ptr<Dataset> open_prepared(const std::filesystem::path& directory, std::string_view split);

}  // namespace swallowtail
