#include "trainer/data/preparation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "trainer/data/encoding_learner.h"
#include "trainer/data/prepared_writer.h"
#include "trainer/data/row_stream.h"

namespace swallowtail {
namespace {

std::string name_of(Part part) { return std::string(kPartNames[static_cast<std::size_t>(part)]); }

std::vector<FileGroup> file_groups(const DataOptions& options, const std::function<void()>& tick) {
  std::vector<FileGroup> groups;
  const auto add = [&](const std::string& key, const std::vector<std::filesystem::path>& patterns, Part part) {
    if (patterns.empty()) return;
    FileGroup group;
    group.key = key;
    group.files = digest_files(expand_paths(patterns, key), tick);
    group.part = part;
    groups.push_back(std::move(group));
  };
  std::vector<std::filesystem::path> train_files = options.train;
  if (options.folds.is_on())  // what trains and what validates is for the folds to say
    train_files.insert(train_files.end(), options.validation.begin(), options.validation.end());
  add("data.train", train_files, Part::train);
  if (!options.folds.is_on()) add("data.validation", options.validation, Part::validation);
  add("data.test", options.test, Part::test);
  auto& train = groups.front();
  train.validation = options.folds.is_on() ? 0 : options.split_validation;
  train.test = options.split_test;
  train.is_split_in_order = options.is_split_in_order;
  train.seed = options.seed;
  train.folds = options.folds;
  return groups;
}

/// Digest of all that decides what the store of a part holds; paths are not among it.
std::string part_key(const FileGroup& group, Part part, const std::string& encoding_digest) {
  const bool is_split = group.parts().size() > 1;
  nlohmann::json json{{"encoding", encoding_digest}, {"part", name_of(part)}};
  if (is_split) json["split"] = {group.validation, group.test, group.is_split_in_order, group.seed};
  if (group.folds.is_on()) json["folds"] = group.folds.text();
  json["files"] = nlohmann::json::array();
  for (const auto& file : group.files) json["files"].push_back({file.bytes, file.sha256});
  return sha256(json.dump());
}

/// Other ranks of the machine wait while this one prepares, so all its cores are free.
int reading_threads() { return static_cast<int>(std::max(1U, std::thread::hardware_concurrency())); }

class Preparer {
 public:
  Preparer(const DataOptions& options, const std::filesystem::path& run_dir, const std::function<void()>& tick)
      : options_(options),
        run_dir_(run_dir),
        directory_(run_dir / "prepared"),
        tick_(tick),
        source_(make_source(options)) {}

  Preparation run(bool reuse_encoding) {
    const auto groups = file_groups(options_, tick_);
    std::error_code failure;
    std::filesystem::create_directories(directory_, failure);
    if (failure)
      throw Error{ExitCode::resources, fmt::format("cannot create the directory: {}", failure.message()),
                  directory_.string(), "check its permission"};
    if (reuse_encoding) load_encoding();

    Preparation result;
    std::set<std::string> reused_files;
    std::vector<const FileGroup*> stale;
    for (const auto& group : groups) {
      if (reuse_encoding && is_prepared(group, result))
        for (const auto& file : group.files) reused_files.insert(escape_value(file.path.string()));
      else
        stale.push_back(&group);
    }
    if (!stale.empty()) {
      BadRows bad_rows(run_dir_ / "quarantine.tsv", options_, reused_files);
      for (const FileGroup* group : stale) prepare_group(*group, bad_rows, result);
      bad_rows.commit();
    }
    std::string keys;
    for (const auto& group : groups)
      for (const Part part : group.parts()) {
        keys += part_key(group, part, encoding_digest_);
        result.has_validation |= part == Part::validation;
        result.has_test |= part == Part::test;
      }
    result.fingerprint = sha256(keys);
    return result;
  }

 private:
  std::filesystem::path encoding_path() const { return directory_ / "encoding.json"; }

  void load_encoding() {
    const auto path = encoding_path().string();
    std::ifstream file(path, std::ios::binary);
    if (!file) throw Error{ExitCode::data, "the run has no prepared encoding", path, "train it first"};
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    encoding_ = Encoding::from_json(text, path);
    encoding_digest_ = sha256(text);
    if (encoding_->options != encoding_options_text(options_))
      throw Error{ExitCode::usage, "data.* differ from those that the run's encoding was learned under", path,
                  "leave columns, encodings and normalisation as the run has them"};
  }

  /// Whether every part of the group is stored, whole, and made of the same files; adds its counts to `result` then.
  bool is_prepared(const FileGroup& group, Preparation& result) const {
    std::optional<PreparedManifest> manifest;
    for (const Part part : group.parts()) {
      if (!std::filesystem::exists(manifest_path(directory_, name_of(part)))) return false;
      try {
        manifest = read_manifest(directory_, name_of(part));
        if (manifest->key != part_key(group, part, encoding_digest_)) return false;
        for (std::size_t kind = 0; kind < kStoredFiles; ++kind)
          if (digest_files({stored_path(directory_, name_of(part), static_cast<StoredFileKind>(kind))}, tick_)
                  .front()
                  .sha256 != manifest->files[kind].sha256)
            return false;
      } catch (const Error&) {
        return false;  // damaged or incomplete: it is made again from the sources
      }
    }
    result.rows_read += manifest->rows_read;
    result.rows_quarantined += manifest->rows_quarantined;
    return true;
  }

  void prepare_group(const FileGroup& group, BadRows& bad_rows, Preparation& result) {
    RowStream rows(group, *source_, bad_rows, reading_threads(), tick_);
    if (!encoding_) learn(rows);

    std::map<Part, std::unique_ptr<PreparedWriter>> writers;
    for (const Part part : group.parts())
      writers[part] = std::make_unique<PreparedWriter>(directory_, name_of(part), *encoding_);
    std::array<PreparedWriter*, kPartNames.size()> of_part{};
    for (const auto& [part, writer] : writers) of_part[static_cast<std::size_t>(part)] = writer.get();
    rows.for_each_encoded(*encoding_, [&](const EncodedRun& run) {
      for (std::size_t i = run.begin; i < run.end; ++i)
        of_part[static_cast<std::size_t>(run.part)]->add(run.rows.at(i), run.file, run.rows.line(i));
    });
    for (const auto& [part, writer] : writers) {
      if (writer->rows() == 0)
        throw Error{ExitCode::data, fmt::format("the {} part holds no rows", name_of(part)),
                    group.files.front().path.string(), "raise its share in data.split, or give it files"};
      PreparedManifest about;
      about.key = part_key(group, part, encoding_digest_);
      about.sources = group.files;
      about.rows_read = rows.rows_read();
      about.rows_quarantined = rows.rows_bad();
      writer->commit(about);
    }
    result.rows_read += rows.rows_read();
    result.rows_quarantined += rows.rows_bad();
  }

  void learn(RowStream& rows) {
    EncodingLearner learner(options_, source_->columns());
    rows.for_each([&](const RawRow& row, Part part, std::uint32_t) {
      if (part == Part::train) learner.add(row);
    });
    if (learner.rows() == 0)
      throw Error{ExitCode::data, "the training part holds no rows", "data.split",
                  "lower the shares of the other parts"};
    encoding_ = learner.finish();
    const std::string text = encoding_->to_json();
    DurableFile file(encoding_path());
    file.write(text);
    file.commit();
    encoding_digest_ = sha256(text);
  }

  const DataOptions& options_;
  std::filesystem::path run_dir_, directory_;
  const std::function<void()>& tick_;
  std::unique_ptr<Source> source_;
  std::optional<Encoding> encoding_;
  std::string encoding_digest_;
};

}  // namespace

Preparation prepare(const DataOptions& options, const std::filesystem::path& run_dir, bool reuse_encoding,
                    const std::function<void()>& tick) {
  return Preparer(options, run_dir, tick).run(reuse_encoding);
}

}  // namespace swallowtail
