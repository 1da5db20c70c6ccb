#include "trainer/data/side_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "trainer/config/nearest.h"
#include "trainer/data/image.h"
#include "trainer/data/parse_number.h"
#include "trainer/data/table_reader.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kRowsPerTick = 1024;
constexpr double kManyWords = 3, kOftenSeparated = 0.1;
using Kind = SideColumn::Kind;

bool names(const std::vector<std::string>& list, const std::string& name) {
  return std::ranges::find(list, name) != list.end();
}

bool is_missing(const InteractionOptions& options, std::string_view value) {
  return std::ranges::find(options.files.missing, value) != options.files.missing.end();
}

std::optional<Kind> declared_kind(const InteractionOptions& options, const std::string& name, const std::string& type) {
  if (names(options.files.dense, name)) return Kind::number;
  if (names(options.files.categorical, name)) return Kind::category;
  if (names(options.files.multi_hot, name)) return Kind::multi;
  if (names(options.text, name)) return Kind::text;
  if (names(options.images, name)) return Kind::image;
  if (type == "float") return Kind::number;
  if (type == "token") return Kind::category;
  if (type == "token_seq") return Kind::multi;
  return {};
}

Kind likely_kind(const InteractionOptions& options, const std::vector<std::string>& values) {
  std::int64_t filled = 0, numbers = 0, separated = 0, words = 0;
  for (const auto& value : values) {
    if (is_missing(options, value)) continue;
    double number = 0;
    ++filled;
    numbers += parse_number(value, number) == nullptr;
    separated += value.find(options.files.defaults.separator) != std::string::npos;
    words += 1 + std::ranges::count(value, ' ');
  }
  if (filled == 0) return Kind::category;
  if (numbers == filled) return Kind::number;
  if (static_cast<double>(separated) >= kOftenSeparated * static_cast<double>(filled)) return Kind::multi;
  return static_cast<double>(words) >= kManyWords * static_cast<double>(filled) ? Kind::text : Kind::category;
}

/// Parts of a value with several categories; empty ones are none, and one that comes again counts once.
std::vector<std::string> parts_of(std::string_view value, std::string_view separator) {
  std::vector<std::string> parts;
  while (!value.empty()) {
    const auto stop = value.find(separator);
    const auto part = value.substr(0, stop);
    value = stop == std::string_view::npos ? std::string_view{} : value.substr(stop + separator.size());
    if (!part.empty() && std::ranges::find(parts, part) == parts.end()) parts.emplace_back(part);
  }
  return parts;
}

/// Replaces the name of an image file, from the folder of the table, by its pixels; by nothing where there is none.
bool read_pixels(const InteractionOptions& options, const std::filesystem::path& folder, std::string& value,
                 std::string& reason) {
  if (is_missing(options, value)) {
    value.clear();
    return true;
  }
  ImagePixels pixels;
  const bool is_good = read_image(folder / value, pixels, reason);
  value = is_good ? std::string(pixels.begin(), pixels.end()) : std::string();
  return is_good;
}

/// `row_of` [ids]: the row of each id, or -1.
void fill_categories(SideColumn& column, const std::vector<std::int64_t>& row_of,
                     const std::vector<std::vector<std::string>>& values) {
  std::set<std::string> distinct;
  for (const std::int64_t row : row_of)
    if (row >= 0) distinct.insert(values[row].begin(), values[row].end());
  const IdList list({distinct.begin(), distinct.end()});
  column.categories = list.names();
  column.offsets = {0};
  for (const std::int64_t row : row_of) {
    if (row >= 0)
      for (const auto& value : values[row]) column.codes.push_back(list.find(value));
    column.offsets.push_back(static_cast<std::int64_t>(column.codes.size()));
  }
}

}  // namespace

SideRows read_side_rows(const InteractionOptions& options, const std::string& role, const std::string& wanted,
                        std::span<const InputFile> files, BadRows& bad_rows, const std::function<void()>& tick,
                        Interactions& counts) {
  SideRows all;
  std::set<std::string, std::less<>> seen;
  std::int64_t rows = 0, bad = 0;
  for (const InputFile& file : files) {
    TableReader table(file.path, options.files.delimiter);
    const std::string id_name = role + "_id";
    const auto id = table.find(wanted, {role, id_name});
    if (!id)
      throw Error{ExitCode::usage, fmt::format("no column of the {} in the header", role),
                  fmt::format("{}:1", file.path.string()), fmt::format("name it: data.columns.{}=COLUMN", role)};
    std::vector<SideRows::Column> columns;
    std::vector<std::size_t> fields;
    for (std::size_t field = 0; field < table.header().size(); ++field) {
      if (field == *id) continue;
      columns.push_back({table.header()[field].name, table.header()[field].type, {}});
      fields.push_back(field);
    }
    if (all.columns.empty()) all.columns = columns;
    if (!std::ranges::equal(all.columns, columns, {}, &SideRows::Column::name, &SideRows::Column::name))
      throw Error{ExitCode::usage, "the file has other columns than the one before it",
                  fmt::format("{}:1", file.path.string()), "give all files of a table the same columns"};
    const auto fault_of = [&]() -> std::optional<BadCell> {
      if (table.field(*id).empty()) return table.refuse(*id, "the id is empty");
      if (seen.contains(table.field(*id))) return table.refuse(*id, fmt::format("the {} has a row already", role));
      for (std::size_t c = 0; c < fields.size(); ++c) {
        if (declared_kind(options, columns[c].name, columns[c].type) != Kind::number) continue;
        const auto text = table.field(fields[c]);
        double number = 0;
        if (is_missing(options, text)) continue;
        if (const char* reason = parse_number(text, number)) return table.refuse(fields[c], reason);
      }
      return {};
    };
    BadCell cell;
    for (auto next = table.next(cell); next != TableReader::Next::end; next = table.next(cell)) {
      if (++rows % kRowsPerTick == 0) tick();
      if (next == TableReader::Next::row) {
        const auto fault = fault_of();
        if (!fault) {
          all.ids.emplace_back(table.field(*id));
          seen.insert(all.ids.back());
          for (std::size_t c = 0; c < fields.size(); ++c) {
            all.columns[c].values.emplace_back(table.field(fields[c]));
            if (declared_kind(options, columns[c].name, columns[c].type) != Kind::image) continue;
            // The row stays without a bad image, which is reported like a bad row.
            std::string& value = all.columns[c].values.back();
            std::string reason;
            if (read_pixels(options, file.path.parent_path(), value, reason)) continue;
            ++bad;
            bad_rows.add(file.path, table.refuse(fields[c], reason));
          }
          continue;
        }
        cell = *fault;
      }
      ++bad;
      bad_rows.add(file.path, cell);
    }
  }
  check_unchanged({files.begin(), files.end()});
  bad_rows.check_fraction(rows, bad);
  counts.rows_read += rows;
  counts.rows_quarantined += bad;
  return all;
}

SideTable side_table(const InteractionOptions& options, const SideRows& rows, const IdList& ids,
                     std::vector<std::string>& notes) {
  std::vector<std::int64_t> row_of(static_cast<std::size_t>(ids.size()), -1);
  for (std::size_t row = 0; row < rows.ids.size(); ++row) {
    const std::int64_t id = ids.find(rows.ids[row]);
    if (id != kColdId) row_of[id] = static_cast<std::int64_t>(row);
  }
  SideTable table;
  for (const auto& [name, type, values] : rows.columns) {
    const auto declared = declared_kind(options, name, type);
    if (!declared && type == "float_seq") {
      notes.push_back(fmt::format("the column '{}' (float_seq) is not used", name));
      continue;
    }
    SideColumn column;
    column.name = name;
    column.kind = declared ? *declared : likely_kind(options, values);
    const std::string separator =
        type == "token_seq" && !options.has_own_separator ? " " : options.files.defaults.separator;
    if (column.kind == Kind::number) {
      for (const std::int64_t row : row_of) {
        double number = std::numeric_limits<double>::quiet_NaN();
        if (row >= 0 && !is_missing(options, values[row])) parse_number(values[row], number);
        column.numbers.push_back(static_cast<float>(number));
      }
    } else if (column.kind == Kind::image) {
      column.offsets = {0};
      for (const std::int64_t row : row_of) {
        if (row >= 0) column.pixels.insert(column.pixels.end(), values[row].begin(), values[row].end());
        column.offsets.push_back(std::ssize(column.pixels) / kImageBytes);
      }
    } else if (column.kind == Kind::text) {
      for (const std::int64_t row : row_of) column.texts.push_back(row >= 0 ? values[row] : std::string());
    } else {
      std::vector<std::vector<std::string>> parts;
      for (const auto& value : values)
        parts.push_back(is_missing(options, value)      ? std::vector<std::string>{}
                        : column.kind == Kind::category ? std::vector{value}
                                                        : parts_of(value, separator));
      fill_categories(column, row_of, parts);
    }
    table.columns.push_back(std::move(column));
  }
  return table;
}

void check_listed_columns(const InteractionOptions& options, const SideTable& users, const SideTable& items) {
  const std::pair<const char*, const std::vector<std::string>*> lists[] = {
      {"data.dense", &options.files.dense},
      {"data.categorical", &options.files.categorical},
      {"data.multi_hot", &options.files.multi_hot},
      {"data.text", &options.text},
      {"data.images", &options.images}};
  std::vector<std::string_view> known;
  for (const auto* table : {&users, &items})
    for (const auto& column : table->columns) known.push_back(column.name);
  for (const auto& [key, list] : lists)
    for (const auto& name : *list)
      if (std::ranges::find(known, name) == known.end())
        throw Error{ExitCode::usage,
                    fmt::format("no side table (for text: nor a training file) has a column '{}'", name), key,
                    did_you_mean(name, known)};
}

}  // namespace swallowtail
