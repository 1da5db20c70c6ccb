// Whole files that are there entirely or not at all, whatever happens while they are written.
#pragma once

#include <filesystem>
#include <string_view>

namespace swallowtail {

/// Replaces `path` by a file that holds `text`: written to `path`.partial, synced, renamed, its folder synced.
/// After an error or a crash `path` is what it was before. One writer a path.
/// Errors: resources, with the path and the system's words.
void write_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace swallowtail
