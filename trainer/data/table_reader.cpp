#include "trainer/data/table_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "trainer/config/nearest.h"

namespace swallowtail {
namespace {

constexpr std::array<std::string_view, 4> kTypes{"token", "token_seq", "float", "float_seq"};

HeaderColumn column_of(std::string_view field) {
  const auto colon = field.rfind(':');
  if (colon != std::string_view::npos && colon > 0 && std::ranges::count(kTypes, field.substr(colon + 1)) > 0)
    return {std::string(field.substr(0, colon)), std::string(field.substr(colon + 1))};
  return {std::string(field), {}};
}

}  // namespace

TableReader::TableReader(const std::filesystem::path& path, char delimiter) : reader_(path, delimiter) {
  if (!reader_.next(record_))
    throw Error{ExitCode::data, "the file is empty", path.string(), "it begins with a header line"};
  if (!record_.fault.empty())
    throw Error{ExitCode::data, record_.fault, fmt::format("{}:1:{}", path.string(), record_.fault_column),
                "correct the header line"};
  for (const auto field : record_.fields) header_.push_back(column_of(field));
  for (auto column = header_.begin(); column != header_.end(); ++column)
    if (std::ranges::count(std::span(header_.begin(), column), column->name, &HeaderColumn::name) > 0)
      throw Error{ExitCode::usage, fmt::format("two columns are named '{}'", column->name),
                  fmt::format("{}:1:{}", path.string(), column - header_.begin() + 1), "rename one of them"};
}

std::optional<std::size_t> TableReader::find(const std::string& wanted,
                                             std::initializer_list<std::string_view> usual) const {
  const auto place = [&](std::string_view name) -> std::optional<std::size_t> {
    const auto found = std::ranges::find(header_, name, &HeaderColumn::name);
    if (found == header_.end()) return {};
    return static_cast<std::size_t>(found - header_.begin());
  };
  if (!wanted.empty()) {
    // The header's own words, type and all, are as good a name.
    if (const auto found = place(column_of(wanted).name)) return found;
    std::vector<std::string_view> known;
    for (const auto& column : header_) known.push_back(column.name);
    throw Error{ExitCode::usage, fmt::format("no column '{}' in the header", wanted),
                fmt::format("{}:1", path().string()), did_you_mean(wanted, known)};
  }
  for (const auto name : usual)
    if (const auto found = place(name)) return found;
  return {};
}

TableReader::Next TableReader::next(BadCell& bad) {
  do {
    if (!reader_.next(record_)) return Next::end;
  } while (record_.is_blank() && header_.size() > 1);
  if (!record_.fault.empty()) {
    bad = {record_.line, record_.fault_column, record_.fault_value, record_.fault};
    return Next::bad;
  }
  if (record_.fields.size() == header_.size()) return Next::row;
  const std::size_t column = std::min(record_.fields.size(), header_.size() + 1) - 1;
  bad = refuse(column, fmt::format("{} fields where the header has {}", record_.fields.size(), header_.size()));
  return Next::bad;
}

BadCell TableReader::refuse(std::size_t column, std::string reason) const {
  return {record_.line, static_cast<std::int64_t>(column) + 1, std::string(record_.fields[column]), std::move(reason)};
}

}  // namespace swallowtail
