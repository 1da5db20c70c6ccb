// Records of delimited text as RFC 4180 has them: quoted fields may hold the delimiter, line breaks and doubled quotes;
// lines end in LF or CRLF, the last one may lack it. A quote within an unquoted field stands for itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/line_reader.h"

namespace swallowtail {

struct CsvRecord {
  std::int64_t line = 0;                 // 1-based line on which it begins
  std::vector<std::string_view> fields;  // unquoted; valid until the next call
  // Where it is no record: the reason, else empty; with the 1-based number of the field and its text.
  std::string fault;
  std::int64_t fault_column = 0;
  std::string fault_value;

  bool is_blank() const noexcept { return fault.empty() && fields.size() == 1 && fields[0].empty(); }
};

class CsvReader {
 public:
  /// delimiter 0: whichever of tab, comma, semicolon and bar stands most often outside quotes on the first line.
  CsvReader(const std::filesystem::path& path, char delimiter, std::size_t max_record_bytes = kMaxLineBytes);
  /// Of a text in memory that begins where a record begins, as LineReader has it, or (is_cut) that is the beginning of
  /// a line longer than kMaxLineBytes. The delimiter is known.
  CsvReader(std::string_view text, const std::filesystem::path& path, char delimiter, std::int64_t lines_before,
            bool is_cut);
  /// False at the end. Errors: as open_bytes; ExitCode::data for a quoted field that is never closed, because nothing
  /// after it can be told apart.
  bool next(CsvRecord& record);
  const std::filesystem::path& path() const noexcept { return lines_.path(); }
  char delimiter() const noexcept { return delimiter_; }
  std::int64_t line() const noexcept { return line_.number; }  // the last one of the record
  std::int64_t position() const noexcept { return lines_.position(); }

 private:
  void read_quoted(CsvRecord& record);
  LineReader lines_;
  char delimiter_;
  std::size_t max_record_bytes_;
  Line line_;
  std::string decoded_;            // fields of a record with quotes, one after another
  std::vector<std::size_t> ends_;  // where each ends
};

/// How much of `text`, which begins where a record begins, is whole records: the length up to a line feed that is
/// within no quoted field and that is the last such one, or 0 where there is none.
std::size_t whole_records(std::string_view text, char delimiter) noexcept;

}  // namespace swallowtail
