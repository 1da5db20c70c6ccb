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
  /// False at the end. Errors: as open_bytes; ExitCode::data for a quoted field that is never closed, because nothing
  /// after it can be told apart.
  bool next(CsvRecord& record);
  const std::filesystem::path& path() const noexcept { return lines_.path(); }

 private:
  void read_quoted(CsvRecord& record);
  LineReader lines_;
  char delimiter_;
  std::size_t max_record_bytes_;
  Line line_;
  std::string decoded_;            // fields of a record with quotes, one after another
  std::vector<std::size_t> ends_;  // where each ends
};

}  // namespace swallowtail
