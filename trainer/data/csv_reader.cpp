#include "trainer/data/csv_reader.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "parallel/error.h"

namespace swallowtail {
namespace {

char most_frequent_delimiter(std::string_view line) {
  constexpr std::array candidates{',', '\t', ';', '|'};
  std::array<std::size_t, candidates.size()> counts{};
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') quoted = !quoted;
    for (std::size_t k = 0; k < candidates.size(); ++k) counts[k] += !quoted && c == candidates[k];
  }
  std::size_t best = 0;
  for (std::size_t k = 1; k < candidates.size(); ++k)
    if (counts[k] > counts[best]) best = k;
  return candidates[best];
}

void set_fault(CsvRecord& record, std::string reason, std::int64_t column, std::string_view value) {
  if (!record.fault.empty()) return;
  record.fault = std::move(reason);
  record.fault_column = column;
  record.fault_value = value;
}

void split_plain(std::string_view text, char delimiter, CsvRecord& record) {
  const char* begin = text.data();
  const char* const end = begin + text.size();
  while (true) {
    const auto length = static_cast<std::size_t>(end - begin);
    const char* stop = length == 0 ? nullptr : static_cast<const char*>(std::memchr(begin, delimiter, length));
    record.fields.emplace_back(begin, stop ? static_cast<std::size_t>(stop - begin) : length);
    if (!stop) return;
    begin = stop + 1;
  }
}

}  // namespace

CsvReader::CsvReader(const std::filesystem::path& path, char delimiter, std::size_t max_record_bytes)
    : lines_(path, max_record_bytes), delimiter_(delimiter), max_record_bytes_(max_record_bytes) {}

CsvReader::CsvReader(std::string_view text, const std::filesystem::path& path, char delimiter,
                     std::int64_t lines_before, bool is_cut)
    : lines_(text, path, lines_before, is_cut ? 0 : kMaxLineBytes),
      delimiter_(delimiter),
      max_record_bytes_(kMaxLineBytes) {}

bool CsvReader::next(CsvRecord& record) {
  record.fields.clear();
  record.fault.clear();
  if (!lines_.next(line_)) return false;
  record.line = line_.number;
  if (delimiter_ == '\0') delimiter_ = most_frequent_delimiter(line_.text);
  if (line_.is_too_long) {
    set_fault(record, fmt::format("line longer than {} bytes", max_record_bytes_), 1, line_.text);
  } else if (std::memchr(line_.text.data(), '"', line_.text.size())) {
    read_quoted(record);
  } else {
    split_plain(line_.text, delimiter_, record);
  }
  for (std::size_t column = 0; column < record.fields.size(); ++column)
    if (record.fields[column].find('\0') != std::string_view::npos)
      set_fault(record, "NUL byte in a field", static_cast<std::int64_t>(column) + 1, record.fields[column]);
  return true;
}

void CsvReader::read_quoted(CsvRecord& record) {
  decoded_.clear();
  ends_.clear();
  std::string_view rest = line_.text;
  while (true) {  // once a field; `rest` begins where the field begins
    const auto column = static_cast<std::int64_t>(ends_.size()) + 1;
    if (rest.starts_with('"')) {
      const std::int64_t opened = line_.number;
      rest.remove_prefix(1);
      while (true) {
        const std::size_t quote = rest.find('"');
        decoded_.append(rest.substr(0, quote));
        if (quote == std::string_view::npos) {  // the line's end belongs to the field
          decoded_.append(line_.end);
          if (decoded_.size() > max_record_bytes_ || line_.end.empty() || !lines_.next(line_) || line_.is_too_long)
            throw Error{ExitCode::data, "a quoted field is never closed",
                        fmt::format("{}:{}:{}", lines_.path().string(), opened, column),
                        "close the quote, or double it"};
          rest = line_.text;
          continue;
        }
        rest.remove_prefix(quote + 1);
        if (!rest.starts_with('"')) break;
        decoded_ += '"';  // doubled
        rest.remove_prefix(1);
      }
      if (!rest.empty() && rest.front() != delimiter_) {
        set_fault(record, "text after a closing quote", column, rest.substr(0, rest.find(delimiter_)));
        return;
      }
    } else {
      const std::size_t stop = rest.find(delimiter_);
      decoded_.append(rest.substr(0, stop));
      rest.remove_prefix(stop == std::string_view::npos ? rest.size() : stop);
    }
    ends_.push_back(decoded_.size());
    if (rest.empty()) break;
    rest.remove_prefix(1);
  }
  std::size_t begin = 0;
  for (const std::size_t end : ends_) {
    record.fields.push_back(std::string_view(decoded_).substr(begin, end - begin));
    begin = end;
  }
}

/// Looks at quotes alone, by the rules of CsvReader::next: one opens a field only where the field begins, and what
/// follows a closing quote other than a delimiter spoils the rest of its line.
std::size_t whole_records(std::string_view text, char delimiter) noexcept {
  constexpr std::size_t none = std::string_view::npos;
  std::size_t at = 0, last_outside = 0;  // the length up to the last line feed before `at` that ends a record
  while (true) {
    const std::size_t quote = text.find('"', at);
    const std::size_t feed = text.substr(at, quote == none ? none : quote - at).rfind('\n');
    if (feed != none) last_outside = at + feed + 1;
    if (quote == none) return last_outside;
    at = quote + 1;
    if (quote > 0 && text[quote - 1] != delimiter && text[quote - 1] != '\n') continue;
    std::size_t close = text.find('"', at);
    while (close != none && close + 1 < text.size() && text[close + 1] == '"') close = text.find('"', close + 2);
    if (close == none || close + 1 == text.size()) return last_outside;  // or the next byte may double the quote
    at = close + 1;
    if (text[at] == delimiter || text[at] == '\n') continue;
    at = text.find('\n', at);
    if (at == none) return last_outside;
  }
}

}  // namespace swallowtail
