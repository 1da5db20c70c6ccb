#include "trainer/checkpoint/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "parallel/error.h"
#include "trainer/files/durable_file.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr int kFormat = 1;
constexpr std::string_view kPrefix = "step-";

fs::path folder_of(const fs::path& directory, std::int64_t step) {
  return directory / fmt::format("{}{}", kPrefix, step);
}

/// One JSON value from every rank to every rank.
std::vector<json> gather(const json& mine, std::string_view operation, std::int64_t step, Communicator& ranks) {
  const std::string text = mine.dump();
  const int world_size = ranks.world_size();
  std::vector<std::int64_t> sizes(world_size, 0);
  sizes[ranks.rank()] = static_cast<std::int64_t>(text.size());
  ranks.all_reduce_sum(Tag{operation, step}, std::span(sizes));
  const auto offsets = byte_offsets(sizes, 1);
  std::string all(static_cast<std::size_t>(offsets.back()), '\0');
  ranks.all_gather(Tag{operation, step}, std::as_bytes(std::span(text)),
                   {std::as_writable_bytes(std::span(all)), offsets});
  std::vector<json> values;
  for (int rank = 0; rank < world_size; ++rank)
    values.push_back(json::parse(all.begin() + offsets[rank], all.begin() + offsets[rank + 1]));
  return values;
}

/// This rank's file, or what went wrong with it; the ranks decide together.
json write_shard(const fs::path& partial, std::span<const TensorRef> mine, int rank) {
  if (mine.empty()) return nullptr;
  const std::string name = fmt::format("rank-{:05}.safetensors", rank);
  try {
    const std::string digest = write_safetensors(partial / name, mine);
    json tensors = json::array();
    for (const TensorRef& tensor : mine) tensors.push_back(tensor.name);
    return {{"name", name}, {"bytes", fs::file_size(partial / name)}, {"sha256", digest}, {"tensors", tensors}};
  } catch (const Error& error) {
    return {{"error", error.fact()}, {"where", error.where()}, {"advice", error.advice()}};
  }
}

Error damaged(const fs::path& path, std::string fact) {
  return Error{ExitCode::damaged, std::move(fact), path.string(),
               "use --checkpoint with an older step, or resume from one"};
}

json read_manifest(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw damaged(path, "the checkpoint has no readable manifest");
  std::ostringstream text;
  text << in.rdbuf();
  json manifest = json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || manifest.value("format", 0) != kFormat || !manifest.contains("files") ||
      !manifest.contains("state"))
    throw damaged(path, "the manifest is not one of this version");
  return manifest;
}

}  // namespace

void save_checkpoint(const fs::path& directory, std::int64_t step, const json& state, std::span<const TensorRef> mine,
                     Communicator& ranks) {
  const fs::path folder = folder_of(directory, step), partial = folder.string() + ".partial";
  json created;
  if (ranks.rank() == 0) {
    std::error_code failed;
    fs::remove_all(partial, failed);
    fs::create_directories(partial, failed);
    if (failed)
      created = {{"error", "cannot create the folder: " + failed.message()},
                 {"where", partial.string()},
                 {"advice", "check the disk and its permissions"}};
  }
  // Doubles as the barrier after which every rank may write into the folder.
  std::vector<json> reports = gather(created, "checkpoint folder", step, ranks);
  if (reports[0].is_null()) reports = gather(write_shard(partial, mine, ranks.rank()), "checkpoint files", step, ranks);

  json outcome;
  for (const json& report : reports)
    if (report.is_object() && report.contains("error")) outcome = report;
  if (ranks.rank() == 0 && outcome.is_null()) {
    try {
      json files = json::array();
      for (json& report : reports)
        if (!report.is_null()) files.push_back(std::move(report));
      const json manifest = {
          {"format", kFormat}, {"step", step}, {"world_size", ranks.world_size()}, {"state", state}, {"files", files}};
      write_atomically(partial / "manifest.json", manifest.dump(1) + "\n");
      std::error_code failed;
      fs::remove_all(folder, failed);  // a resumed run may reach a step that the earlier run had saved
      fs::rename(partial, folder, failed);
      if (failed)
        outcome = {{"error", "cannot rename the folder: " + failed.message()},
                   {"where", partial.string()},
                   {"advice", "check the disk"}};
      sync_folder(directory);
    } catch (const Error& error) {
      outcome = {{"error", error.fact()}, {"where", error.where()}, {"advice", error.advice()}};
    }
  }
  outcome = gather(outcome, "checkpoint end", step, ranks)[0];
  if (outcome.is_null()) return;
  if (ranks.rank() == 0) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
  }
  throw Error{ExitCode::resources, "the checkpoint was not saved: " + outcome["error"].get<std::string>(),
              outcome["where"].get<std::string>(), outcome["advice"].get<std::string>()};
}

std::vector<std::int64_t> checkpoint_steps(const fs::path& directory) {
  std::vector<std::int64_t> steps;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const char* const first = name.data() + kPrefix.size();
    const char* const last = name.data() + name.size();
    std::int64_t step = 0;
    const auto [end, error] = std::from_chars(first, last, step);
    if (error == std::errc() && end == last) steps.push_back(step);  // "step-7.partial" does not count
  }
  std::ranges::sort(steps);
  return steps;
}

void retire_checkpoints(const fs::path& directory, std::int64_t keep, std::int64_t spare) {
  std::vector<std::int64_t> steps = checkpoint_steps(directory);
  std::erase(steps, spare);
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep) < steps.size(); ++i) {
    std::error_code ignored;
    fs::remove_all(folder_of(directory, steps[i]), ignored);
  }
}

Checkpoint Checkpoint::open(const fs::path& directory, std::int64_t step) {
  Checkpoint checkpoint;
  checkpoint.folder_ = folder_of(directory, step);
  checkpoint.step_ = step;
  const fs::path manifest_path = checkpoint.folder_ / "manifest.json";
  const json manifest = read_manifest(manifest_path);
  try {
    checkpoint.state_ = manifest.at("state");
    for (const json& file : manifest.at("files")) {
      const auto name = file.at("name").get<std::string>();
      if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.'))
        throw damaged(manifest_path, fmt::format("the manifest leads outside its folder: '{}'", name));
      const fs::path path = checkpoint.folder_ / name;
      std::error_code failed;
      if (fs::is_symlink(path, failed) || !fs::is_regular_file(path, failed))
        throw damaged(path, "the file is missing");
      const auto expected = file.at("bytes").get<std::uint64_t>(),
                 found = static_cast<std::uint64_t>(fs::file_size(path));
      if (found != expected)
        throw damaged(path, fmt::format("the file has {} bytes where its manifest says {}", found, expected));
      const std::string digest = sha256_of_file(path), wanted = file.at("sha256").get<std::string>();
      if (digest != wanted)
        throw damaged(path, fmt::format("the file's SHA-256 is {} where its manifest says {}", digest, wanted));
      const auto reader = std::make_shared<SafetensorsReader>(path);
      for (const json& tensor : file.at("tensors")) {
        if (!reader->has(tensor.get<std::string>()))
          throw damaged(path, fmt::format("there is no tensor '{}'", tensor.get<std::string>()));
        checkpoint.file_of_[tensor.get<std::string>()] = reader;
      }
    }
  } catch (const json::exception& error) {
    throw damaged(manifest_path, fmt::format("the manifest cannot be understood ({})", error.what()));
  }
  return checkpoint;
}

std::optional<Checkpoint> Checkpoint::newest_good(const fs::path& directory, std::vector<std::string>& complaints) {
  std::vector<std::int64_t> steps = checkpoint_steps(directory);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    try {
      return open(directory, *step);
    } catch (const Error& error) {
      complaints.push_back(error.message());
    }
  }
  return {};
}

std::vector<std::string> Checkpoint::names(std::string_view prefix) const {
  std::vector<std::string> found;
  for (auto at = file_of_.lower_bound(std::string(prefix)); at != file_of_.end() && at->first.starts_with(prefix); ++at)
    found.push_back(at->first);
  return found;
}

void Checkpoint::read(const std::string& tensor, std::span<std::byte> out) const {
  const auto found = file_of_.find(tensor);
  if (found == file_of_.end()) throw damaged(folder_, fmt::format("the checkpoint has no tensor '{}'", tensor));
  found->second->read(tensor, out);
}

}  // namespace swallowtail
