// What YAML parsers get wrong in silence is an error here, with its place (RELIABILITY section 4).
#include <sys/stat.h>

#include "tests/unit/config/config_fixture.h"

namespace swallowtail {
namespace {

TEST(YamlTrap, DuplicateKeysAreRefused) {
  EXPECT_EQ(refusal(with("seed: 1\nseed: 2\n")), "key 'seed' stands twice, at adult.yaml:3:1; remove one");
  EXPECT_EQ(refusal(with("model: {linear: true, linear: false}\n")),
            "key 'linear' stands twice, at adult.yaml:2:23; remove one");
}

TEST(YamlTrap, NumbersAreReadWholeAndDecimal) {
  const auto seed = [](const std::string& text) {
    return Experiment::parse(with("seed: " + text + "\n")).integer("seed");
  };
  EXPECT_EQ(seed("0"), 0);
  EXPECT_EQ(seed("10"), 10);
  EXPECT_EQ(seed("1e3"), 1000);
  EXPECT_EQ(seed("25E+2"), 2500);
  EXPECT_EQ(seed("0e999"), 0);
  EXPECT_EQ(seed("9223372036854775807"), 9223372036854775807);
  for (const auto* text :
       {"010",   "0x10",   "0o10",      "1_000",         "1.0",   "1.5e1", "1e-1", "1e",  "1e+",
        "1e+-3", "+1",     "1 2",       "1,2",           "12abc", "\"1\"", "'1'",  "-1",  "9223372036854775808",
        "1e19",  "10e18",  "37e18",     "1e99999999999", "nan",   ".nan",  ".inf", "inf", "true",
        "--1",   "|\n  1", "2026-01-01"})
    EXPECT_NE(refusal(with("seed: " + std::string(text) + "\n")).find("at adult.yaml:2:7"), std::string::npos) << text;
  EXPECT_EQ(
      refusal(with("seed: 010\n")),
      "seed expects an integer, got '010', at adult.yaml:2:7; remove the leading zeros, which some readers of YAML "
      "take for octal");
  EXPECT_EQ(refusal(with("seed: 1.0\n")),
            "seed expects an integer, got '1.0', at adult.yaml:2:7; write it without a decimal point");
}

TEST(YamlTrap, FloatsAreFiniteAndWhole) {
  const auto rate = [](const std::string& text) {
    return Experiment::parse(with("train: {learning_rate: " + text + "}\n")).number("train.learning_rate");
  };
  EXPECT_EQ(rate("1"), 1.0);
  EXPECT_EQ(rate("1e-3"), 0.001);
  EXPECT_EQ(rate(".5"), 0.5);
  EXPECT_EQ(rate("0.1"), 0.1);
  for (const auto* text : {"nan", ".nan", "NaN", "inf", ".inf", "-.inf", "infinity", "1e999", "1e-999", "0x1p3",
                           "1.2.3", "00.5", "1,5", "1_0.0", "\"0.1\"", "0.1f", "1e", "-0.1"})
    EXPECT_NE(refusal(with("train: {learning_rate: " + std::string(text) + "}\n")), "accepted") << text;
}

TEST(YamlTrap, OverflowIsNamedAsSuch) {
  for (const std::string text : {"9223372036854775808", "37e18", "1e99999999999"})  // 37e18 wraps to a positive number
    EXPECT_EQ(refusal(with("seed: " + text + "\n")),
              "seed is '" + text + "', beyond 64-bit integers, at adult.yaml:2:7; give a value at least 0");
  for (const std::string text : {"1e999", "1e-999"})
    EXPECT_EQ(
        refusal(with("train: {weight_decay: " + text + "}\n")),
        "train.weight_decay is '" + text + "', beyond 64-bit floats, at adult.yaml:2:23; give a value at least 0");
}

TEST(YamlTrap, AliasesWorkWithinBounds) {
  const auto experiment = Experiment::parse(with("model: {bottom_mlp: &widths [8, 4], top_mlp: *widths}\n"));
  EXPECT_EQ(experiment.integers("model.top_mlp"), (std::vector<std::int64_t>{8, 4}));
  std::string widths = "[1";
  for (int i = 1; i < 333; ++i) widths += ", 1";
  widths += "]";  // 334 nodes: an alias may stand for it twice, not three times
  const auto aliases = [&](const std::string& rest) {
    return refusal(with("model: {bottom_mlp: &w " + widths + ", top_mlp: *w}\ndata2: [*w" + rest + "]\n"));
  };
  EXPECT_EQ(aliases("").substr(0, 19), "unknown key 'data2'");
  EXPECT_EQ(aliases(", *w").substr(0, 42), "aliases stand for more than 1000 nodes, at");
}

TEST(YamlTrap, AliasBombAndCycleAreRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const auto before = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int k = 0; k < 9; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_NE(refusal(bomb).find("aliases stand for more than 1000 nodes, at adult.yaml:3:"), std::string::npos);
  EXPECT_EQ(refusal("a: &a [*a]\n").substr(0, 29), "an alias within its own ancho");
  EXPECT_EQ(refusal("a: &a {b: {c: *a}}\n"), "an alias within its own anchor, at adult.yaml:1:15; write the value out");
  EXPECT_NE(refusal("a: *nobody\n").find("not YAML"), std::string::npos);
}

TEST(YamlTrap, DepthIsBounded) {
  const auto nested = [](int depth) {  // the document's own map is one level
    return refusal("x: " + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "\n");
  };
  EXPECT_EQ(nested(64).substr(0, 15), "unknown key 'x'");
  EXPECT_EQ(nested(65).substr(0, 30), "lists and maps deeper than 64,");
  EXPECT_EQ(nested(400000).substr(0, 30), "lists and maps deeper than 64,");
  EXPECT_NE(refusal(std::string(1 << 20, '[')), "accepted");
  EXPECT_NE(refusal(std::string(1 << 20, '{')), "accepted");
  // A deep alias inside deep lists adds up.
  const std::string forty = std::string(40, '['), back = std::string(40, ']');
  EXPECT_NE(refusal("x: &x " + forty + back + "\ny: " + forty + "*x" + back + "\n").find("deeper than 64"),
            std::string::npos);
}

TEST(YamlTrap, SizeIsBounded) {
  std::string text = with("# ");
  text.resize(1 << 20, 'x');
  EXPECT_EQ(refusal(text), "accepted");
  EXPECT_EQ(refusal(text + "x").substr(0, 39), "experiment file of more than 1048576 by");
}

TEST(YamlTrap, OneDocumentOnly) {
  EXPECT_EQ(refusal("---\n" + with("...\n")), "accepted");
  EXPECT_EQ(refusal(with("---\nseed: 1\n")).substr(0, 23), "a second YAML document,");
  EXPECT_EQ(refusal(with("...\n---\n")).substr(0, 23), "a second YAML document,");
}

TEST(YamlTrap, EmptyTextsAndOtherShapesAreRefused) {
  for (const auto* text : {"", "\n\n", "# only a comment\n", "---\n", "null\n", "\xEF\xBB\xBF"})
    EXPECT_EQ(refusal(text).substr(0, 28), "the experiment file is empty") << text;
  EXPECT_EQ(refusal("- a\n- b\n").substr(0, 34), "an experiment is a map of sections");
  EXPECT_EQ(refusal("just text\n").substr(0, 34), "an experiment is a map of sections");
}

TEST(YamlTrap, BytesAreChecked) {
  EXPECT_EQ(refusal(with("model:\n\tlinear: true\n")),
            "a tab in the indentation, at adult.yaml:3:1; indent with spaces");
  EXPECT_EQ(refusal(with("name: a\xFF\n")), "byte 0xff is not UTF-8, at adult.yaml:2:8; save the file as UTF-8");
  for (const auto* bad : {"\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80", "\xF8\x88\x80\x80\x80"})
    EXPECT_EQ(refusal(with("name: " + std::string(bad) + "\n")).substr(0, 7), "byte 0x") << bad;
  EXPECT_EQ(refusal(with("name: a") + std::string(1, '\0')).substr(0, 32), "control character 0x00, at adult");
  EXPECT_EQ(refusal(with("name: a\x1B\n")).substr(0, 22), "control character 0x1b");
  EXPECT_EQ(refusal(with("name: \"a\\0b\"\n")).substr(0, 25), "a NUL character in a text");
  EXPECT_EQ(Experiment::parse("\xEF\xBB\xBF" + with("name: gr\xC3\xBC\xC3\x9F\x65\r\nseed: 2\r\n")).text("name"),
            "gr\xC3\xBC\xC3\x9F\x65");
}

TEST(YamlTrap, TagsMergeKeysAndOddKeysAreRefused) {
  EXPECT_EQ(refusal(with("seed: !!int 5\n")).substr(0, 4), "tag ");
  EXPECT_EQ(refusal(with("model: !x {}\n")).substr(0, 4), "tag ");
  EXPECT_EQ(refusal(with("<<: {seed: 1}\n")), "merge key '<<', at adult.yaml:2:1; write the keys out, or use extends");
  EXPECT_EQ(refusal("? [a]\n: b\n").substr(0, 31), "a key that is not a plain word,");
  EXPECT_EQ(refusal("a: &k b\n*k : c\n").substr(0, 31), "a key that is not a plain word,");
  EXPECT_EQ(refusal("~: b\n").substr(0, 31), "a key that is not a plain word,");
}

TEST(YamlTrap, NullInAListOfTextsIsRefused) {
  EXPECT_NE(refusal("data: {source: csv, missing: [null]}\n").find("write 'null' or '' in quotes"), std::string::npos);
  EXPECT_NE(refusal("data: {source: csv, dense: [a, ~]}\n").find("got null"), std::string::npos);
}

TEST(YamlTrap, FilesThatAreNoneAreRefused) {
  const ScratchDirectory scratch;
  EXPECT_NE(refusal_of_file(scratch.path / "none.yaml").find("no experiment file"), std::string::npos);
  EXPECT_NE(refusal_of_file(scratch.path).find("is a directory"), std::string::npos);
  EXPECT_NE(refusal_of_file("/dev/zero").find("is not a regular file"), std::string::npos);
  ASSERT_EQ(::mkfifo((scratch.path / "pipe").c_str(), 0600), 0);
  EXPECT_NE(refusal_of_file(scratch.path / "pipe").find("is not a regular file"), std::string::npos);
  EXPECT_NE(refusal_of_file(scratch.write("big.yaml", std::string((1 << 20) + 1, '#'))).find("more than 1048576"),
            std::string::npos);
  const auto closed = scratch.write("closed.yaml", with(""));
  std::filesystem::permissions(closed, std::filesystem::perms::none);
  if (std::ifstream(closed).is_open()) return;  // root reads everything
  EXPECT_NE(refusal_of_file(closed).find("cannot read"), std::string::npos);
}

}  // namespace
}  // namespace swallowtail
