#include "trainer/checkpoint/save.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>

#include "parallel/error.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/gather.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/files/durable_file.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::int64_t kArrayAlignment = 4096;  // in a file of raw blocks, so that readers may use direct I/O

bool goes_to_blocks(const TensorRef& tensor) {
  return tensor.piece && static_cast<std::int64_t>(tensor.bytes.size()) >= kBlockBytes;
}

/// Both folders change places at once where the system can do that. Returns false where it cannot.
bool exchange_folders(const fs::path& a, const fs::path& b) {
  return ::renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0;
}

/// `partial` becomes `folder`. A resumed run may reach a step that an earlier one has saved: the old checkpoint leaves
/// only when the new one stands in its place.
void rename_into_place(const fs::path& partial, const fs::path& folder) {
  std::error_code failed;
  if (fs::exists(folder, failed)) {
    if (exchange_folders(partial, folder)) {
      sync_folder(folder.parent_path());
      fs::remove_all(partial, failed);
      return;
    }
    // Without the exchange the old one is out of the way for a moment; the checkpoints before it are still there.
    const fs::path removed = folder.string() + ".removed";
    fs::remove_all(removed, failed);
    if (::rename(folder.c_str(), removed.c_str()) != 0) throw_file_error("rename", folder, errno);
    if (::rename(partial.c_str(), folder.c_str()) != 0) {
      const int error_number = errno;
      ::rename(removed.c_str(), folder.c_str());
      throw_file_error("rename", partial, error_number);
    }
    sync_folder(folder.parent_path());
    fs::remove_all(removed, failed);
    return;
  }
  if (::rename(partial.c_str(), folder.c_str()) != 0) throw_file_error("rename", partial, errno);
  sync_folder(folder.parent_path());
}

void write_files(const fs::path& partial, std::span<const TensorRef> mine, int rank, SaveOptions options,
                 json& report) {
  std::vector<const TensorRef*> small, large;
  for (const TensorRef& tensor : mine) (goes_to_blocks(tensor) ? large : small).push_back(&tensor);
  const auto entry = [&](const TensorRef& tensor, std::int64_t offset) {
    report["tensors"][tensor.name] =
        to_json(TensorEntry{{tensor.name, tensor.dtype, tensor.shape}, report["files"].size(), offset, tensor.piece});
  };
  if (!small.empty()) {
    BlockWriter file(partial / fmt::format("rank-{:05}.safetensors", rank), Compression::none);
    std::vector<TensorShape> shapes;
    for (const TensorRef* tensor : small) shapes.push_back({tensor->name, tensor->dtype, tensor->shape});
    const std::string header = safetensors_header(shapes);
    file.write(header);
    for (const TensorRef* tensor : small) {
      entry(*tensor, file.content());
      file.write(tensor->bytes);
    }
    report["files"].push_back(to_json(file.finish()));
  }
  if (!large.empty()) {
    const bool is_packed = options.compression == Compression::zstd;
    BlockWriter file(partial / fmt::format("rank-{:05}.blocks{}", rank, is_packed ? ".zst" : ""), options.compression);
    for (const TensorRef* tensor : large) {
      file.align(kArrayAlignment);
      entry(*tensor, file.content());
      file.write(tensor->bytes);
    }
    report["files"].push_back(to_json(file.finish()));
  }
}

}  // namespace

fs::path partial_folder(const fs::path& directory, std::int64_t step) {
  return checkpoint_folder(directory, step).string() + ".partial";
}

void begin_checkpoint(const fs::path& directory, std::int64_t step) {
  remove_leftovers(directory);
  make_folder_durably(directory);
  const fs::path partial = partial_folder(directory, step);
  std::error_code failed;
  if (!fs::create_directory(partial, failed) && !failed) failed = std::make_error_code(std::errc::file_exists);
  if (failed) throw_file_error("make the folder", partial, failed.value());
}

json write_shard(const fs::path& partial, std::span<const TensorRef> mine, int rank, SaveOptions options) {
  json report = {{"files", json::array()}, {"tensors", json::object()}};
  try {
    write_files(partial, mine, rank, options, report);
  } catch (const Error& error) {
    return {{"error", error_to_json(error)}};
  } catch (const std::bad_alloc&) {
    return {{"error", error_to_json({ExitCode::resources, "out of memory while saving", partial.string(),
                                     "free memory, or use more machines"})}};
  }
  return report;
}

std::string publish_checkpoint(const fs::path& directory, const SaveRecord& record, std::span<const json> reports) {
  Manifest manifest;
  manifest.step = record.step;
  manifest.world_size = static_cast<int>(reports.size());
  manifest.state = record.state;
  manifest.base_step = record.base_step;
  manifest.base_digest = record.base_digest;
  const fs::path partial = partial_folder(directory, record.step);
  for (const json& report : reports) {
    if (report.contains("error")) throw error_from_json(report.at("error"));
    const std::size_t first_file = manifest.files.size();
    for (const json& file : report.at("files")) manifest.files.push_back(block_index_from_json(file, partial));
    for (const auto& [name, entry] : report.at("tensors").items()) {
      json moved = entry;
      moved["file"] = entry.at("file").get<std::size_t>() + first_file;
      manifest.tensors.emplace(name, tensor_from_json(name, moved, manifest.files, partial));
    }
  }
  const std::string text = to_text(manifest), digest = sha256(text);
  std::string sums = fmt::format("{}  {}\n", digest, kManifestName);
  for (const BlockIndex& file : manifest.files) sums += fmt::format("{}  {}\n", file.sha256, file.name);
  write_atomically(partial / kSumsName, sums);
  write_atomically(partial / kManifestName, text);
  rename_into_place(partial, checkpoint_folder(directory, record.step));
  return digest;
}

void abandon_checkpoint(const fs::path& directory, std::int64_t step) noexcept {
  std::error_code ignored;
  fs::remove_all(partial_folder(directory, step), ignored);
}

}  // namespace swallowtail
