// The raw format of the Criteo Display Advertising Challenge and of the Terabyte logs: no header; label, integers I1 to
// I13, categories C1 to C26 as hexadecimal digits (at most 16), between tabs; an empty field is missing.
// Without data.dense and data.categorical all columns are features. Numbers default to ln(1 + max(x, 0)), a missing one
// to 0. Categories go through a vocabulary or a hash, then modulo data.max_rows.
#include <fmt/format.h>

#include <algorithm>

#include "trainer/data/criteo_rows.h"
#include "trainer/data/source.h"

namespace swallowtail {
namespace {

using namespace criteo;
/// I1 … or C1 …: the field of each chosen column.
std::vector<std::size_t> fields_of(const std::vector<std::string>& names, char letter, std::size_t count,
                                   std::size_t first, std::string_view key) {
  std::vector<std::string> all;
  for (std::size_t i = 1; i <= count; ++i) all.push_back(fmt::format("{}{}", letter, i));
  std::vector<std::size_t> fields;
  for (const auto& name : names) {
    const auto found = std::ranges::find(all, name);
    if (found == all.end())
      throw Error{ExitCode::usage, fmt::format("criteo_tsv has no column '{}'", name), std::string(key),
                  fmt::format("its columns are {0}1 to {0}{1}", letter, count)};
    fields.push_back(first + static_cast<std::size_t>(found - all.begin()));
  }
  return fields;
}

class CriteoFormat final : public RowFormat {
 public:
  explicit CriteoFormat(const CriteoColumns& columns) : columns_(columns) {}
  std::unique_ptr<RowReader> read(const TextBlock& block) const override { return read_criteo(columns_, block); }
  bool encode(const TextBlock& block, const Encoding& encoding, EncodedBlock& out) const override {
    return encode_criteo(columns_, block, encoding, out);
  }

 private:
  const CriteoColumns& columns_;
};

class CriteoSource final : public Source {
 public:
  explicit CriteoSource(const DataOptions& options) {
    if (!options.weight.empty() || !options.multi_hot.empty())
      throw Error{ExitCode::usage, "criteo_tsv has neither sample weights nor multi-hot columns", "data",
                  "leave data.weight and data.multi_hot out"};
    columns_.numbers = numeric_columns(options);
    for (const auto& name : options.categorical) columns_.features.push_back({.name = name});
    fields_.numbers = fields_of(columns_.numbers, 'I', kIntegers, 1, "data.dense");
    fields_.features = fields_of(options.categorical, 'C', kCategories, 1 + kIntegers, "data.categorical");
  }
  const RawColumns& columns() const noexcept override { return columns_; }
  std::unique_ptr<RowFormat> format(const std::filesystem::path&) const override {
    return std::make_unique<CriteoFormat>(fields_);
  }

 private:
  RawColumns columns_;
  CriteoColumns fields_;
};

}  // namespace

std::unique_ptr<Source> make_criteo_tsv_source(const DataOptions& options) {
  return std::make_unique<CriteoSource>(options);
}

}  // namespace swallowtail
