#include "trainer/data/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "trainer/config/nearest.h"

namespace swallowtail {
namespace {

constexpr std::array kSources{
    SourceEntry{"csv", "delimited text with a header (RFC 4180)", make_csv_source},
    SourceEntry{"criteo_tsv", "label, 13 integers and 26 hexadecimal categories between tabs", make_criteo_tsv_source},
    SourceEntry{"libfm", "label and index:value pairs", make_libfm_source},
};

}  // namespace

std::span<const SourceEntry> sources() { return kSources; }

std::unique_ptr<Source> make_source(const DataOptions& options) {
  std::vector<std::string_view> names;
  for (const auto& entry : kSources) {
    if (entry.name == options.source) return entry.make(options);
    names.push_back(entry.name);
  }
  throw Error{ExitCode::usage, fmt::format("unknown source '{}'", options.source), "data.source",
              did_you_mean(options.source, names)};
}

std::size_t RowFormat::whole_rows(std::string_view text) const noexcept {
  const std::size_t feed = text.rfind('\n');
  return feed == std::string_view::npos ? 0 : feed + 1;
}

std::size_t RawColumns::number(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::find(numbers, name) - numbers.begin());
}

std::vector<std::string> numeric_columns(const DataOptions& options) {
  std::vector<std::string> numbers = options.dense;
  for (const auto& name : options.binned)
    if (!std::ranges::count(numbers, name)) numbers.push_back(name);
  return numbers;
}

}  // namespace swallowtail
