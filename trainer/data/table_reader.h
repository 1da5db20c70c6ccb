// A delimited file with a header, by column name, for the files of interactions: the names may carry the types of
// RecBole's atomic files ("user_id:token"), which are taken off and kept.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/data/csv_reader.h"
#include "trainer/data/source.h"

namespace swallowtail {

struct HeaderColumn {
  std::string name;
  std::string type;  // token, token_seq, float, float_seq, or empty
};

class TableReader {
 public:
  /// Errors: ExitCode::data for an empty file or a faulty header; usage for a column named twice.
  TableReader(const std::filesystem::path& path, char delimiter);
  const std::vector<HeaderColumn>& header() const noexcept { return header_; }
  /// Field of the column `wanted`, or of the first of `usual` that the header has where `wanted` is empty; nothing
  /// where there is none. Errors: usage, with the nearest name, where `wanted` is not in the header.
  std::optional<std::size_t> find(const std::string& wanted, std::initializer_list<std::string_view> usual) const;

  enum class Next : std::uint8_t { row, bad, end };
  /// Fills `bad` where the row has a fault or another number of fields than the header. Lines without any character
  /// are passed over.
  Next next(BadCell& bad);
  std::string_view field(std::size_t column) const { return record_.fields[column]; }
  std::int64_t line() const noexcept { return record_.line; }
  const std::filesystem::path& path() const noexcept { return reader_.path(); }
  /// The row is bad because of this field.
  BadCell refuse(std::size_t column, std::string reason) const;

 private:
  CsvReader reader_;
  CsvRecord record_;
  std::vector<HeaderColumn> header_;
};

}  // namespace swallowtail
