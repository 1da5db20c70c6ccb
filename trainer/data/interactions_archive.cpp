#include "trainer/data/interactions_archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "trainer/data/image.h"
#include "trainer/files/durable_file.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {

constexpr std::string_view kMagic = "SWINTER2";
constexpr std::size_t kDigestBytes = 64;

class Writer {
 public:
  void operator()(const std::int64_t& value) { raw(&value, sizeof value); }
  void operator()(const bool& value) { (*this)(std::int64_t{value}); }
  void operator()(const SideColumn::Kind& kind) { (*this)(static_cast<std::int64_t>(kind)); }
  void operator()(const std::string& text) {
    (*this)(static_cast<std::int64_t>(text.size()));
    raw(text.data(), text.size());
  }
  template <typename T>
  void operator()(const std::vector<T>& values) {
    (*this)(static_cast<std::int64_t>(values.size()));
    if constexpr (std::is_arithmetic_v<T>)
      raw(values.data(), values.size() * sizeof(T));
    else
      for (const T& value : values) (*this)(value);
  }
  void operator()(const IdList& ids) { (*this)(ids.names()); }
  void operator()(const SideColumn& column);
  void raw(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  void operator()(std::int64_t& value) { raw(&value, sizeof value); }
  void operator()(bool& value) {
    std::int64_t number = 0;
    (*this)(number);
    value = number != 0;
  }
  void operator()(SideColumn::Kind& kind) {
    std::int64_t number = 0;
    (*this)(number);
    if (number < 0 || number > static_cast<std::int64_t>(SideColumn::Kind::image)) fail("an unknown kind of column");
    kind = static_cast<SideColumn::Kind>(number);
  }
  void operator()(std::string& text) {
    text.resize(length(1));
    raw(text.data(), text.size());
  }
  template <typename T>
  void operator()(std::vector<T>& values) {
    // An element that is no number takes at least its own length of 8 bytes.
    values.resize(length(std::is_arithmetic_v<T> ? sizeof(T) : sizeof(std::int64_t)));
    if constexpr (std::is_arithmetic_v<T>)
      raw(values.data(), values.size() * sizeof(T));
    else
      for (T& value : values) (*this)(value);
  }
  void operator()(IdList& ids) {
    std::vector<std::string> names;
    (*this)(names);
    ids = IdList(names);
    if (ids.names() != names || std::ranges::adjacent_find(names) != names.end()) fail("ids out of order");
  }
  void operator()(SideColumn& column);
  void raw(void* data, std::size_t size) {
    if (size > bytes_.size()) fail("the end is missing");
    if (size > 0) std::memcpy(data, bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
  }
  bool is_at_end() const { return bytes_.empty(); }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error{ExitCode::damaged, fmt::format("the stored interactions are damaged: {}", what), name_,
                "train again with --force"};
  }

 private:
  std::size_t length(std::size_t element_bytes) {
    std::int64_t count = 0;
    (*this)(count);
    if (count < 0 || static_cast<std::uint64_t>(count) > bytes_.size() / element_bytes) fail("a length beyond the end");
    return static_cast<std::size_t>(count);
  }
  std::span<const std::byte> bytes_;
  const std::string& name_;
};

template <typename Archive, typename Column>
void archive_column(Archive& archive, Column& column) {
  archive(column.name);
  archive(column.kind);
  archive(column.numbers);
  archive(column.categories);
  archive(column.offsets);
  archive(column.codes);
  archive(column.texts);
  archive(column.pixels);
}
void Writer::operator()(const SideColumn& column) { archive_column(*this, column); }
void Reader::operator()(SideColumn& column) { archive_column(*this, column); }

/// Every field in its order, for the writer and the reader alike.
template <typename Archive, typename Data>
void archive_all(Archive& archive, Data& data) {
  archive(data.users);
  archive(data.items);
  for (auto* part : {&data.train, &data.validation, &data.test, &data.candidates}) {
    archive(part->offsets);
    archive(part->items);
    archive(part->ratings);
    archive(part->times);
  }
  archive(data.user_table.columns);
  archive(data.item_table.columns);
  archive(data.has_ratings);
  archive(data.has_times);
  archive(data.rows_read);
  archive(data.rows_quarantined);
  archive(data.rows_below_min_rating);
  archive(data.rows_duplicate);
  archive(data.rows_filtered);
  archive(data.notes);
  archive(data.fingerprint);
}

bool are_offsets(std::span<const std::int64_t> offsets, std::int64_t rows, std::size_t values) {
  return static_cast<std::int64_t>(offsets.size()) == rows + 1 && offsets.front() == 0 &&
         offsets.back() == static_cast<std::int64_t>(values) && std::ranges::is_sorted(offsets);
}

bool are_below(std::span<const std::int64_t> values, std::int64_t limit) {
  return std::ranges::all_of(values, [limit](std::int64_t value) { return value >= 0 && value < limit; });
}

void check(const Reader& reader, const Interactions& data) {
  for (const auto* part : {&data.train, &data.validation, &data.test, &data.candidates})
    if (!are_offsets(part->offsets, data.users.size(), part->items.size()) ||
        !are_below(part->items, data.items.size()) || part->ratings.size() != part->items.size() ||
        part->times.size() != part->items.size())
      reader.fail("a history leads outside");
  for (const auto& [table, rows] :
       {std::pair(&data.user_table, data.users.size()), std::pair(&data.item_table, data.items.size())})
    for (const SideColumn& column : table->columns) {
      const bool is_number = column.kind == SideColumn::Kind::number, is_text = column.kind == SideColumn::Kind::text;
      const bool is_image = column.kind == SideColumn::Kind::image;
      const auto images = column.pixels.size() / static_cast<std::size_t>(kImageBytes);
      if (column.numbers.size() != static_cast<std::size_t>(is_number ? rows : 0) ||
          column.texts.size() != static_cast<std::size_t>(is_text ? rows : 0) ||
          column.pixels.size() != images * static_cast<std::size_t>(kImageBytes) || (!is_image && images > 0) ||
          (is_image && !are_offsets(column.offsets, rows, images)) ||
          (!is_number && !is_text && !is_image &&
           (!are_offsets(column.offsets, rows, column.codes.size()) ||
            !are_below(column.codes, static_cast<std::int64_t>(column.categories.size())))))
        reader.fail(fmt::format("the column '{}' leads outside", column.name));
    }
}

}  // namespace

std::vector<std::byte> to_bytes(const Interactions& interactions) {
  Writer writer;
  writer.raw(kMagic.data(), kMagic.size());
  archive_all(writer, interactions);
  return writer.take();
}

Interactions from_bytes(std::span<const std::byte> bytes, const std::string& name) {
  Reader reader(bytes, name);
  std::string magic(kMagic.size(), '\0');
  reader.raw(magic.data(), magic.size());
  if (magic != kMagic) reader.fail("it begins with other bytes");
  Interactions data;
  archive_all(reader, data);
  if (!reader.is_at_end()) reader.fail("bytes behind the end");
  check(reader, data);
  return data;
}

void store_interactions(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  Sha256 digest;
  digest.add(bytes);
  DurableFile file(path);
  file.write(bytes);
  file.write(digest.hex());
  file.commit();
}

std::vector<std::byte> load_interactions(const std::filesystem::path& path) {
  std::error_code failure;
  const auto size = std::filesystem::file_size(path, failure);
  std::ifstream file(path, std::ios::binary);
  if (failure || !file)
    throw Error{ExitCode::usage, "the run has no stored interactions", path.string(), "train it first"};
  std::vector<std::byte> bytes(size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  const auto damaged = [&] {
    return Error{ExitCode::damaged, "the stored interactions are not what was written", path.string(),
                 "restore the file, or train again with --force"};
  };
  if (!file || size < kDigestBytes) throw damaged();
  const std::string digest(reinterpret_cast<const char*>(bytes.data() + size - kDigestBytes), kDigestBytes);
  bytes.resize(size - kDigestBytes);
  Sha256 found;
  found.add(bytes);
  if (found.hex() != digest) throw damaged();
  return bytes;
}

}  // namespace swallowtail
