#include "trainer/config/reference.h"

#include <fmt/format.h>

#include "trainer/config/compose.h"
#include "trainer/config/schema.h"

namespace swallowtail {
namespace {

using config::Key;

constexpr std::string_view kRules = R"(# The experiment file

Made from the schema in `trainer/config/`; do not edit it by hand. To make it anew after a change of the schema, build
`config_tests` and run `SWALLOWTAIL_WRITE_REFERENCE=1 ./config_tests --gtest_filter='Reference.*'` in the build folder.

An experiment is one YAML document: a map of the sections below. A key that is not set takes its default. The run
writes all of them into its `experiment.yaml`.

- `extends: other.yaml` builds on another file. Maps merge key by key; lists and single values replace.
- `section.key=value` on the command line overrides the file; the last one wins. `embedding.tables.income.dim=8` names
  a table, `data.tables[0].rows=1000` an element of a list that the file has, `'data.dense=[age, hours]'` replaces a list.
- `${NAME}` in texts and paths is the environment variable; `$${` stands for the characters `${`. One that is not set is
  an error.
- A relative path starts in the directory of the file that wrote it, and in the current directory on the command line.
  Data files may be globs.
- Numbers are decimal. `1e6` is an integer too; `010`, `0x10`, `1_000`, `nan` and `inf` are errors. Booleans are `true`
  and `false`.
- Duplicate keys, unknown keys, tags, the merge key `<<`, a second document, tabs in the indentation, anything that is
  not UTF-8, more than 1 MiB, more than 64 levels, and aliases that stand for more than 1,000 nodes are errors.
- `tables[].rows` is a key of each map in a list, `tables.*.dim` a key under any name of yours. A default of `null` means
  that the key is optional; `required` means that it has no default.
)";

/// "integer in samples, from 1 to 10"
std::string type_and_range(const Key& key) {
  std::string words = config::type_words(key);
  if (!key.unit.empty()) words += fmt::format(" in {}", key.unit);
  if (const std::string range = key.range.words(); !range.empty()) words += ", " + range;
  if (key.length.low == key.length.high) words += fmt::format(", {} elements", key.length.low);
  return words;
}

std::string_view default_words(const Key& key) { return key.is_required() ? "required" : key.default_value; }

/// The top-level section of a key; empty for a key of the root.
std::string_view section_of(const Key& key) {
  const auto dot = key.path.find('.');
  return dot == std::string_view::npos ? std::string_view{} : key.path.substr(0, dot);
}

std::vector<const Key*> keys_of(const config::SectionPage& page) {
  std::vector<const Key*> keys;
  if (page.path.empty()) keys.push_back(&config::extends_key());
  for (const Key* key : config::all_keys())
    if (section_of(*key) == page.path) keys.push_back(key);
  return keys;
}

/// Words of `text` on lines of at most 120 columns, each behind `indent` spaces.
std::string wrapped(std::string_view text, std::size_t indent) {
  constexpr std::size_t kColumns = 120;
  std::string out, line(indent, ' ');
  while (!text.empty()) {
    const auto space = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, space);
    text.remove_prefix(std::min(space + 1, text.size()));
    if (line.size() > indent && line.size() + 1 + word.size() > kColumns) {
      out += line + '\n';
      line.assign(indent, ' ');
    }
    if (line.size() > indent) line += ' ';
    line += word;
  }
  return out + line + '\n';
}

}  // namespace

std::string help_config() {
  std::string out = "Keys of an experiment file, as KEY = DEFAULT; override any with KEY=VALUE on the command line.\n";
  for (const auto& page : config::section_pages()) {
    out += fmt::format("\n{}\n  for example  {}\n", page.meaning, page.example);
    for (const Key* key : keys_of(page)) {
      out += fmt::format("  {} = {}\n", key->path, default_words(*key));
      out += wrapped(fmt::format("{}; {}", type_and_range(*key), key->meaning), 6);
    }
  }
  return out;
}

std::string reference_page() {
  std::string out(kRules);
  for (const auto& page : config::section_pages()) {
    out += fmt::format("\n## {}\n\n{}\n\n```yaml\n{}\n```\n\n", page.path.empty() ? "Top level" : page.path,
                       page.meaning, page.example);
    out += "| key | type | default | meaning |\n|---|---|---|---|\n";
    for (const Key* key : keys_of(page)) {
      // A bar inside a table cell ends it, even in code.
      std::string value(default_words(*key));
      for (auto bar = value.find('|'); bar != std::string::npos; bar = value.find('|', bar + 2))
        value.insert(bar, "\\");
      out += fmt::format("| `{}` | {} | {} | {} |\n", key->path, type_and_range(*key),
                         key->is_required() ? value : '`' + value + '`', key->meaning);
    }
  }
  return out;
}

}  // namespace swallowtail
