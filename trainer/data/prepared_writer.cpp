#include "trainer/data/prepared_writer.h"

#include <cstring>

namespace swallowtail {

PreparedWriter::PreparedWriter(std::filesystem::path directory, std::string split, const Encoding& encoding)
    : directory_(std::move(directory)), split_(std::move(split)) {
  manifest_.shape = encoding.shape();
  manifest_.has_weights = encoding.has_weights;
  for (const auto& feature : encoding.features) manifest_.is_one_hot.push_back(feature.is_one_hot);
  is_one_hot_.assign(manifest_.is_one_hot.begin(), manifest_.is_one_hot.end());
  is_one_hot_.resize(is_one_hot_.size() + manifest_.shape.texts.size());
  id_bytes_ = static_cast<std::size_t>(manifest_.id_bytes());
  record_.resize(static_cast<std::size_t>(manifest_.record_bytes()));
  has_id_weights_ = manifest_.has_id_weights();
  remove_durably(manifest_path(directory_, split_));
  for (std::size_t kind = 0; kind < kStoredFiles; ++kind)
    files_[kind].emplace(stored_path(directory_, split_, static_cast<StoredFileKind>(kind)));
}

namespace {

/// Writes values one behind another, without asking for room each time.
class Record {
 public:
  explicit Record(std::byte* at) : at_(at) {}
  template <typename Value>
  void put(Value value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  void put_id(std::int64_t id, std::size_t bytes) {  // little-endian: the low bytes come first
    std::memcpy(at_, &id, bytes);
    at_ += bytes;
  }
  std::byte* at() const noexcept { return at_; }

 private:
  std::byte* at_;
};

}  // namespace

void PreparedWriter::add(const EncodedView& row, std::uint32_t file, std::int64_t line) {
  const auto begin_of = [&](std::size_t f) { return f == 0 ? std::size_t{0} : row.ends[f - 1]; };
  const std::size_t features = row.ends.size();  // texts behind them
  Record record(record_.data());
  for (const float value : row.dense) record.put(value);
  record.put(row.label);
  if (manifest_.has_weights) record.put(row.weight);
  for (std::size_t f = 0; f < features; ++f)
    if (is_one_hot_[f]) record.put_id(row.ids[begin_of(f)], id_bytes_);
  bool is_first_jagged = true;
  for (std::size_t f = 0; f < features; ++f) {
    if (is_one_hot_[f]) continue;
    if (is_first_jagged) record.put(static_cast<std::uint64_t>(manifest_.ids));
    is_first_jagged = false;
    const std::size_t count = row.ends[f] - begin_of(f);
    record.put(static_cast<std::uint32_t>(count));
    ids_.resize(count * id_bytes_);
    Record ids(ids_.data());
    for (std::size_t i = begin_of(f); i < row.ends[f]; ++i) ids.put_id(row.ids[i], id_bytes_);
    files_[kIdsFile]->write(ids_);
    if (has_id_weights_) files_[kIdWeightsFile]->write(std::as_bytes(row.id_weights.subspan(begin_of(f), count)));
    ids_written_ += static_cast<std::int64_t>(count);
  }
  // The position of the record's first id was taken above, before these are counted.
  manifest_.ids = ids_written_;
  record.put(file);
  record.put(static_cast<std::uint64_t>(line));
  files_[kRowsFile]->write(record_);
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
