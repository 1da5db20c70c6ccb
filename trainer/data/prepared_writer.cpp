#include "trainer/data/prepared_writer.h"

#include <cstring>

namespace swallowtail {

PreparedWriter::PreparedWriter(std::filesystem::path directory, std::string split, const Encoding& encoding)
    : directory_(std::move(directory)), split_(std::move(split)) {
  manifest_.shape = encoding.shape();
  manifest_.has_weights = encoding.has_weights;
  for (const auto& feature : encoding.features) manifest_.is_one_hot.push_back(feature.is_one_hot);
  id_bytes_ = manifest_.id_bytes();
  has_id_weights_ = manifest_.has_id_weights();
  remove_durably(manifest_path(directory_, split_));
  for (std::size_t kind = 0; kind < kStoredFiles; ++kind)
    files_[kind].emplace(stored_path(directory_, split_, static_cast<StoredFileKind>(kind)));
}

template <typename Value>
void PreparedWriter::put(Value value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  record_.insert(record_.end(), bytes, bytes + sizeof value);
}

void PreparedWriter::put_id(std::vector<std::byte>& bytes, std::int64_t id) const {
  const auto* begin = reinterpret_cast<const std::byte*>(&id);  // little-endian: the low bytes come first
  bytes.insert(bytes.end(), begin, begin + id_bytes_);
}

void PreparedWriter::add(const EncodedRow& row, std::uint32_t file, std::int64_t line) {
  record_.clear();
  ids_.clear();
  for (const float value : row.dense) put(value);
  put(row.label);
  if (manifest_.has_weights) put(row.weight);
  const auto begin_of = [&](std::size_t f) { return f == 0 ? std::size_t{0} : row.ends[f - 1]; };
  const std::size_t features = row.ends.size();
  for (std::size_t f = 0; f < features; ++f)
    if (manifest_.is_one_hot[f]) put_id(record_, row.ids[begin_of(f)]);
  bool is_first_jagged = true;
  for (std::size_t f = 0; f < features; ++f) {
    if (manifest_.is_one_hot[f]) continue;
    if (is_first_jagged) put(static_cast<std::uint64_t>(manifest_.ids));
    is_first_jagged = false;
    put(static_cast<std::uint32_t>(row.ends[f] - begin_of(f)));
    for (std::size_t i = begin_of(f); i < row.ends[f]; ++i) {
      put_id(ids_, row.ids[i]);
      if (has_id_weights_) files_[kIdWeightsFile]->write(std::as_bytes(std::span(&row.id_weights[i], 1)));
    }
  }
  // The position of the record's first id was taken above, before these are counted.
  manifest_.ids += static_cast<std::int64_t>(ids_.size()) / id_bytes_;
  put(file);
  put(static_cast<std::uint64_t>(line));
  files_[kRowsFile]->write(record_);
  files_[kIdsFile]->write(ids_);
  ++manifest_.rows;
}

void PreparedWriter::commit(const PreparedManifest& about) {
  manifest_.key = about.key;
  manifest_.rows_read = about.rows_read;
  manifest_.rows_quarantined = about.rows_quarantined;
  manifest_.sources = about.sources;
  for (std::size_t kind = 0; kind < kStoredFiles; ++kind) {
    manifest_.files[kind].sha256 = files_[kind]->commit();
    manifest_.files[kind].bytes = files_[kind]->size();
  }
  DurableFile manifest(manifest_path(directory_, split_));
  manifest.write(manifest_.to_json());
  manifest.commit();
}

}  // namespace swallowtail
