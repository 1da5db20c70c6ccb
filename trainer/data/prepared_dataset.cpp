#include "trainer/data/prepared_dataset.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "trainer/data/mapped_file.h"
#include "trainer/data/prepared_layout.h"

namespace swallowtail {
namespace {

template <typename Value>
Value load(const std::byte* bytes) {
  Value value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

class PreparedDataset final : public Dataset {
 public:
  PreparedDataset(const std::filesystem::path& directory, std::string_view split)
      : manifest_(read_manifest(directory, split)),
        directory_(directory.string()),
        rows_(stored_path(directory, split, kRowsFile), manifest_.files[kRowsFile].bytes),
        ids_(stored_path(directory, split, kIdsFile), manifest_.files[kIdsFile].bytes),
        id_weights_(stored_path(directory, split, kIdWeightsFile), manifest_.files[kIdWeightsFile].bytes),
        record_bytes_(static_cast<std::size_t>(manifest_.record_bytes())),
        id_bytes_(static_cast<std::size_t>(manifest_.id_bytes())) {
    const std::size_t dense_bytes = 4 * manifest_.shape.dense.size();
    label_at_ = dense_bytes;
    weight_at_ = label_at_ + 4;
    std::size_t one_hot_at = weight_at_ + (manifest_.has_weights ? 4 : 0);
    position_at_ = one_hot_at + static_cast<std::size_t>(manifest_.one_hot()) * id_bytes_;
    std::size_t count_at = position_at_ + 8;
    for (const bool is_one_hot : manifest_.is_one_hot) {
      field_at_.push_back(is_one_hot ? one_hot_at : count_at);
      if (is_one_hot)
        one_hot_at += id_bytes_;
      else
        count_at += 4;
    }
    for (std::size_t text = 0; text < manifest_.shape.texts.size(); ++text, count_at += 4)
      field_at_.push_back(count_at);
    origin_at_ = record_bytes_ - 12;
  }

  const DataShape& shape() const noexcept override { return manifest_.shape; }
  std::int64_t size() const noexcept override { return manifest_.rows; }

  void read(std::span<const std::int64_t> samples, Batch& out) const override {
    const std::size_t count = samples.size(), dense = manifest_.shape.dense.size();
    out.size = static_cast<std::int64_t>(count);
    out.dense.resize(count * dense);
    out.labels.resize(count);
    out.weights.resize(manifest_.has_weights ? count : 0);
    out.samples.assign(samples.begin(), samples.end());
    out.ids.resize(manifest_.is_one_hot.size());
    for (std::size_t b = 0; b < count; ++b) {
      const std::byte* const record = record_of(samples[b]);
      if (dense > 0) std::memcpy(&out.dense[b * dense], record, 4 * dense);
      out.labels[b] = load<float>(record + label_at_);
      if (manifest_.has_weights) out.weights[b] = load<float>(record + weight_at_);
      if (out.labels[b] != 0 && out.labels[b] != 1) throw damaged("the label is neither 0 nor 1", samples[b]);
      if (manifest_.has_weights && !(std::isfinite(out.weights[b]) && out.weights[b] >= 0))
        throw damaged("the sample weight is negative or not finite", samples[b]);
      check_dense({out.dense.data() + b * dense, dense}, samples[b]);
    }
    for (std::size_t f = 0; f < out.ids.size(); ++f)
      manifest_.is_one_hot[f] ? read_one_hot(f, samples, out.ids[f]) : read_jagged(f, samples, out.ids[f]);
    out.texts.resize(manifest_.shape.texts.size());
    for (std::size_t t = 0; t < out.texts.size(); ++t) read_jagged(out.ids.size() + t, samples, out.texts[t]);
  }

  std::string origin(std::int64_t sample) const override {
    const std::byte* const at = record_of(sample) + origin_at_;
    const auto file = load<std::uint32_t>(at);
    const auto name =
        file < manifest_.sources.size() ? manifest_.sources[file].path.string() : std::string("unknown file");
    return fmt::format("{}:{}", name, load<std::uint64_t>(at + 4));
  }

 private:
  const std::byte* record_of(std::int64_t sample) const {
    if (sample < 0 || sample >= manifest_.rows)
      throw Error{ExitCode::data, fmt::format("there is no sample {} among {}", sample, manifest_.rows), directory_,
                  ""};
    return rows_.bytes().data() + static_cast<std::size_t>(sample) * record_bytes_;
  }

  Error damaged(std::string_view what, std::int64_t sample) const {
    return Error{ExitCode::data, fmt::format("the prepared data are damaged: {} (from {})", what, origin(sample)),
                 fmt::format("{} sample {}", directory_, sample), "prepare them again: start the run with --force"};
  }

  void check_dense(std::span<const float> dense, std::int64_t sample) const {
    for (std::size_t i = 0; i < dense.size(); ++i)
      if (!std::isfinite(dense[i])) throw damaged(fmt::format("'{}' is not finite", manifest_.shape.dense[i]), sample);
  }

  std::int64_t checked_id(const std::byte* at, std::size_t f, std::int64_t sample) const {
    const std::int64_t id = id_bytes_ == 4 ? load<std::uint32_t>(at) : load<std::int64_t>(at);
    const std::size_t features = manifest_.is_one_hot.size();
    const auto check = [&](const auto& column) {
      if (id < 0 || id >= column.rows)
        throw damaged(fmt::format("'{}' has id {} beyond {} rows", column.name, id, column.rows), sample);
    };
    f < features ? check(manifest_.shape.categorical[f]) : check(manifest_.shape.texts[f - features]);
    return id;
  }

  void read_one_hot(std::size_t f, std::span<const std::int64_t> samples, JaggedIds& out) const {
    out.values.resize(samples.size());
    out.offsets.resize(samples.size() + 1);
    std::iota(out.offsets.begin(), out.offsets.end(), std::int64_t{0});
    out.weights.clear();
    for (std::size_t b = 0; b < samples.size(); ++b)
      out.values[b] = checked_id(record_of(samples[b]) + field_at_[f], f, samples[b]);
  }

  void read_jagged(std::size_t f, std::span<const std::int64_t> samples, JaggedIds& out) const {
    out.offsets.resize(samples.size() + 1);
    out.offsets[0] = 0;
    for (std::size_t b = 0; b < samples.size(); ++b)
      out.offsets[b + 1] = out.offsets[b] + load<std::uint32_t>(record_of(samples[b]) + field_at_[f]);
    // Checked before memory is taken: no bag is larger than what is stored.
    for (std::size_t b = 0; b < samples.size(); ++b) check_bag(f, samples[b]);
    out.values.resize(static_cast<std::size_t>(out.offsets.back()));
    const bool is_weighted = f < manifest_.is_one_hot.size() && manifest_.shape.categorical[f].weighted;
    out.weights.resize(is_weighted ? out.values.size() : 0);
    for (std::size_t b = 0; b < samples.size(); ++b) {
      std::uint64_t position = bag_position(f, record_of(samples[b]));
      for (auto i = static_cast<std::size_t>(out.offsets[b]); i < static_cast<std::size_t>(out.offsets[b + 1]);
           ++i, ++position) {
        out.values[i] = checked_id(ids_.bytes().data() + position * id_bytes_, f, samples[b]);
        if (!is_weighted) continue;
        out.weights[i] = load<float>(id_weights_.bytes().data() + position * 4);
        if (!std::isfinite(out.weights[i])) throw damaged("an id's weight is not finite", samples[b]);
      }
    }
  }

  /// Position of the first id of the bag: behind those of the jagged features before it.
  std::uint64_t bag_position(std::size_t f, const std::byte* record) const {
    auto position = load<std::uint64_t>(record + position_at_);
    for (std::size_t at = position_at_ + 8; at < field_at_[f]; at += 4) position += load<std::uint32_t>(record + at);
    return position;
  }

  void check_bag(std::size_t f, std::int64_t sample) const {
    const std::byte* const record = record_of(sample);
    const auto stored = static_cast<std::uint64_t>(manifest_.ids);
    const std::uint64_t first = load<std::uint64_t>(record + position_at_);
    const std::uint64_t end = bag_position(f, record) + load<std::uint32_t>(record + field_at_[f]);
    if (first > stored || end > stored) throw damaged("ids lie beyond the stored ones", sample);
  }

  PreparedManifest manifest_;
  std::string directory_;
  MappedFile rows_, ids_, id_weights_;
  std::size_t record_bytes_, id_bytes_;
  std::size_t label_at_, weight_at_, position_at_, origin_at_;
  std::vector<std::size_t> field_at_;  // of features, then texts; one-hot: of the id; jagged: of the count
};

}  // namespace

std::unique_ptr<Dataset> open_prepared(const std::filesystem::path& directory, std::string_view split) {
  return std::make_unique<PreparedDataset>(directory, split);
}

}  // namespace swallowtail
