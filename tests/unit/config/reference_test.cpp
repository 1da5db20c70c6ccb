#include "trainer/config/reference.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "trainer/config/experiment.h"
#include "trainer/config/schema.h"
#include "trainer/config/value.h"

namespace swallowtail {
namespace {

const std::string kPage = std::string(SWALLOWTAIL_SOURCE_DIR) + "/configs/REFERENCE.md";

TEST(Reference, CommittedPageIsCurrent) {
  if (std::getenv("SWALLOWTAIL_WRITE_REFERENCE") != nullptr) std::ofstream(kPage) << reference_page();
  std::ifstream file(kPage);
  std::stringstream page;
  page << file.rdbuf();
  EXPECT_TRUE(page.str() == reference_page())
      << kPage << " differs from the schema; run with SWALLOWTAIL_WRITE_REFERENCE=1 to make it anew";
}

TEST(Reference, HelpAndPageNameEveryKeyWithItsMeaning) {
  const std::string page = reference_page(), help = help_config();
  for (const auto* key : config::all_keys()) {
    EXPECT_NE(page.find("| `" + std::string(key->path) + "` |"), std::string::npos) << key->path;
    EXPECT_NE(page.find(std::string(key->meaning) + " |"), std::string::npos) << key->path;
    EXPECT_NE(help.find("  " + std::string(key->path) + " = "), std::string::npos) << key->path;
  }
}

TEST(Reference, HelpFitsATerminal) {
  std::stringstream help(help_config());
  for (std::string line; std::getline(help, line);) EXPECT_LE(line.size(), 120u) << line;
}

TEST(Reference, ExampleLinesAreExperiments) {
  for (const auto& page : config::section_pages()) {
    const bool has_data = page.path == "data";
    const std::string yaml = std::string(page.example) + "\n" + (has_data ? "" : "data: {source: synthetic}\n");
    EXPECT_NO_THROW(Experiment::parse(yaml)) << yaml;
  }
}

TEST(Schema, EveryKeyIsWholeAndUnique) {
  std::set<std::string_view> paths;
  for (const auto* key : config::all_keys()) {
    EXPECT_TRUE(paths.insert(key->path).second) << key->path;
    EXPECT_FALSE(key->meaning.empty()) << key->path;
    EXPECT_LE(key->range.low, key->range.high) << key->path;
    EXPECT_EQ(key->kind == config::Kind::choice, !key->choices.empty()) << key->path;
  }
}

TEST(Schema, EveryDefaultKeepsItsOwnRules) {
  for (const auto* key : config::all_keys()) {
    if (key->is_required()) continue;
    const auto value = config::default_value(*key);
    EXPECT_EQ(std::holds_alternative<std::monostate>(value), key->is_optional()) << key->path;
  }
}

TEST(Schema, RangesSayWhatTheyContain) {
  using namespace config;
  EXPECT_TRUE(at_least(1).contains(1));
  EXPECT_FALSE(at_least(1).contains(0.5));
  EXPECT_FALSE(above(0).contains(0));
  EXPECT_TRUE(from_below(0, 1).contains(0));
  EXPECT_FALSE(from_below(0, 1).contains(1));
  EXPECT_FALSE(inside(0, 1).contains(0));
  EXPECT_EQ(at_least(1).words(), "at least 1");
  EXPECT_EQ(between(0, 0.9).words(), "from 0 to 0.9");
  EXPECT_EQ(inside(0, 1).words(), "above 0 and below 1");
  EXPECT_EQ(Range{}.words(), "");
}

}  // namespace
}  // namespace swallowtail
