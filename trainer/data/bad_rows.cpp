#include "trainer/data/bad_rows.h"

#include <fmt/format.h>

#include <fstream>

namespace swallowtail {
namespace {

constexpr std::string_view kHeader = "file\tline\tcolumn\tvalue\treason\n";
constexpr std::size_t kShownRows = 3, kShownBytes = 60;

std::string place(const std::filesystem::path& file, const BadCell& cell) {
  return fmt::format("{}:{}:{}", file.string(), cell.line, cell.column);
}

}  // namespace

std::string escape_value(std::string_view value, std::size_t most_bytes) {
  std::string text;
  for (const char c : value.substr(0, most_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\t')
      text += "\\t";
    else if (c == '\n')
      text += "\\n";
    else if (c == '\r')
      text += "\\r";
    else if (c == '\\')
      text += "\\\\";
    else if (byte < 0x20 || byte == 0x7f)
      text += fmt::format("\\x{:02x}", byte);
    else
      text += c;
  }
  return value.size() > most_bytes ? text + "\\…" : text;
}

BadRows::BadRows(std::filesystem::path path, const DataOptions& options, const std::set<std::string>& kept)
    : path_(std::move(path)), is_quarantine_(options.is_quarantine), max_fraction_(options.max_bad_fraction) {
  if (!kept.empty()) {
    std::ifstream old(path_, std::ios::binary);
    std::string line;
    while (std::getline(old, line))
      if (kept.contains(line.substr(0, line.find('\t')))) write(line + "\n");
  }
  if (!file_) remove_durably(path_);
}

void BadRows::write(const std::string& line) {
  if (!file_) {
    file_ = std::make_unique<DurableFile>(path_);
    file_->write(kHeader);
  }
  file_->write(line);
}

void BadRows::add(const std::filesystem::path& file, const BadCell& cell) {
  if (!is_quarantine_)
    throw Error{ExitCode::data, fmt::format("bad value '{}': {}", escape_value(cell.value, kShownBytes), cell.reason),
                place(file, cell), "correct the row, or set data.on_bad_row: quarantine"};
  ++count_;
  if (first_.size() < kShownRows)
    first_.push_back(fmt::format("{} '{}' {}", place(file, cell), escape_value(cell.value, kShownBytes), cell.reason));
  write(fmt::format("{}\t{}\t{}\t{}\t{}\n", escape_value(file.string()), cell.line, cell.column,
                    escape_value(cell.value), escape_value(cell.reason)));
}

void BadRows::check_fraction(std::int64_t rows, std::int64_t bad) {
  if (static_cast<double>(bad) > max_fraction_ * static_cast<double>(rows)) {
    commit();  // the user will want to look at it
    std::string shown;
    for (const auto& row : first_) shown += (shown.empty() ? "" : ", ") + row;
    throw Error{ExitCode::data, fmt::format("{} of {} rows are bad, first: {}", bad, rows, shown), path_.string(),
                "correct them, or raise data.max_bad_fraction"};
  }
  first_.clear();
}

void BadRows::commit() {
  if (file_) file_->commit();
  file_.reset();
}

}  // namespace swallowtail
