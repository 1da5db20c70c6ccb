#include "trainer/cli/arguments.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "parallel/error.h"

namespace swallowtail::cli {
namespace {

using Words = std::vector<std::string>;
constexpr std::array kFlags{Flag{"force", "", ""}, Flag{"json", "", ""}, Flag{"data", "FILE", ""},
                            Flag{"checkpoint", "WHICH", ""}, Flag{"k", "N", ""}};

Arguments parse(const Words& words) { return Arguments::parse("train", kFlags, words); }

std::string error_of(const Words& words) {
  try {
    parse(words);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.message();
  }
  return "no error";
}

TEST(Arguments, TakesOverridesApartFromFlagsAndFiles) {
  const auto arguments = parse({"a.yaml", "--force", "train.epochs=2", "model.top_mlp=[8,4]", "seed=-1", "./x=y.yaml"});
  EXPECT_EQ(arguments.rest(), (Words{"a.yaml", "./x=y.yaml"}));
  EXPECT_EQ(arguments.overrides(), (Words{"train.epochs=2", "model.top_mlp=[8,4]", "seed=-1"}));
  EXPECT_TRUE(arguments.has("force"));
  EXPECT_FALSE(arguments.has("json"));
}

TEST(Arguments, OverridesKeepCommasSpacesAndEqualsSigns) {
  const Words overrides{"name=a, b", "data.missing=x=y", "run.dir=/tmp/a,b", "embedding.tables.native-country.dim=4"};
  EXPECT_EQ(parse(overrides).overrides(), overrides);
}

TEST(Arguments, ARepeatedFlagKeepsItsOrderAndItsCommas) {
  const auto arguments = parse({"--data", "a,b.csv", "run", "--data=c.csv", "--data", "k=v.csv"});
  EXPECT_EQ(arguments.values("data"), (Words{"a,b.csv", "c.csv", "k=v.csv"}));
  EXPECT_EQ(arguments.value("data"), "k=v.csv");
  EXPECT_EQ(arguments.rest(), Words{"run"});
  EXPECT_TRUE(arguments.overrides().empty());
}

TEST(Arguments, AFlagMayHaveOneLetter) {
  EXPECT_EQ(parse({"run", "--k", "5"}).value("k"), "5");
  EXPECT_EQ(parse({"run", "--k", "5", "--k=7"}).values("k"), (Words{"5", "7"}));
  EXPECT_EQ(parse({"run", "--k=5"}).rest(), Words{"run"});
  EXPECT_NE(error_of({"run", "--k"}).find("--k needs a value"), std::string::npos);
  EXPECT_NE(error_of({"run", "--j", "5"}), "no error");
}

TEST(Arguments, AnAbsentFlagGivesTheFallback) {
  EXPECT_EQ(parse({}).value("checkpoint", "best"), "best");
  EXPECT_TRUE(parse({}).values("data").empty());
}

TEST(Arguments, AnUnknownFlagIsAnsweredWithTheNearest) {
  EXPECT_EQ(error_of({"--forse"}),
            "swallowtail: error: unknown flag '--forse', at command line; did you mean '--force'?");
  EXPECT_NE(error_of({"a.yaml", "--chekpoint=last"}).find("did you mean '--checkpoint'?"), std::string::npos);
  EXPECT_NE(error_of({"-x"}).find("unknown flag '-x'"), std::string::npos);
}

TEST(Arguments, AFlagWithoutItsValueIsAnError) {
  EXPECT_NE(error_of({"--checkpoint"}).find("--checkpoint needs a value"), std::string::npos);
  EXPECT_NE(error_of({"--checkpoint", "--json"}).find("--checkpoint needs a value"), std::string::npos);
  EXPECT_NE(error_of({"--json=maybe"}).find("swallowtail: error: "), std::string::npos);
}

TEST(Arguments, TheRecordedCommandLineIsAsTyped) {
  EXPECT_EQ(parse({"a.yaml", "seed=2", "--force"}).command_line(), "swallowtail train a.yaml seed=2 --force");
}

}  // namespace
}  // namespace swallowtail::cli
