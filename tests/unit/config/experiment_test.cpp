// What a good experiment means: values, defaults, places, overrides, extends, environment, paths, and the way back.
#include "tests/unit/config/config_fixture.h"

namespace swallowtail {
namespace {

constexpr auto kAdult = R"(seed: 7
data:
  source: csv
  train: [a.csv, "b/*.csv"]
  label: income
  dense: [age, hours]
  columns:
    age: {bins: 20}
    capital.gain: {bin_by: distinct}
  tables:
    - {rows: 10, pooling_factor: 3}
    - {name: big, rows: 1e6, fixed: false, zipf: 1.2}
model:
  embedding_dim: 8
train: {class_weights: [1, 2.5]}
embedding:
  tables: {income: {dim: 4, optimizer: adam}}
)";

TEST(Experiment, ReadsEveryKindOfValue) {
  const auto experiment = Experiment::parse(kAdult, {}, "adult.yaml", "/data");
  EXPECT_EQ(experiment.integer("seed"), 7);
  EXPECT_EQ(experiment.text("data.source"), "csv");
  EXPECT_EQ(experiment.paths("data.train"), (std::vector<std::filesystem::path>{"/data/a.csv", "/data/b/*.csv"}));
  EXPECT_EQ(experiment.texts("data.dense"), (std::vector<std::string>{"age", "hours"}));
  EXPECT_EQ(experiment.integer("model.embedding_dim"), 8);
  EXPECT_EQ(experiment.numbers("train.class_weights"), (std::vector<double>{1, 2.5}));
  EXPECT_EQ(experiment.number("seed"), 7.0) << "an integer may be read as a number";
}

TEST(Experiment, FillsInDefaults) {
  const auto experiment = Experiment::parse(with(""), {}, "adult-dlrm.yaml");
  EXPECT_EQ(experiment.text("name"), "adult-dlrm") << "the stem of the file";
  EXPECT_EQ(experiment.integer("seed"), 1);
  EXPECT_EQ(experiment.integers("model.bottom_mlp"), (std::vector<std::int64_t>{512, 256, 64}));
  EXPECT_EQ(experiment.text("data.separator"), "|");
  EXPECT_EQ(experiment.texts("data.missing"), (std::vector<std::string>{"", "?"}));
  EXPECT_EQ(experiment.number("embedding.learning_rate"), 0.02);
  EXPECT_TRUE(experiment.boolean("data.missing_indicator"));
  EXPECT_FALSE(experiment.has("train.max_steps"));
  EXPECT_FALSE(experiment.has("run.dir"));
  EXPECT_FALSE(experiment.has("data.tables"));
  EXPECT_TRUE(experiment.sections("data.tables").empty());
  EXPECT_EQ(Experiment::parse(with("name: given\n"), {}, "a.yaml").text("name"), "given");
}

TEST(Experiment, TellsWhatWasSetAndWhere) {
  const auto experiment = Experiment::parse(kAdult, {"train.epochs=3"}, "adult.yaml");
  EXPECT_TRUE(experiment.is_set("model.embedding_dim"));
  EXPECT_EQ(experiment.place("model.embedding_dim"), "adult.yaml:14:18");
  EXPECT_FALSE(experiment.is_set("model.dropout"));
  EXPECT_EQ(experiment.place("model.dropout"), "default of model.dropout");
  EXPECT_TRUE(experiment.is_set("train.epochs"));
  EXPECT_EQ(experiment.place("train.epochs"), "command line");
  EXPECT_EQ(experiment.error("seed", "no luck", "try 8").message(),
            "swallowtail: error: no luck, at adult.yaml:1:7; try 8");
  EXPECT_EQ(experiment.error("seed", "no luck").code(), ExitCode::usage);
  EXPECT_EQ(experiment.place("data.tables"), "adult.yaml:11:5");
}

TEST(Experiment, SectionsOfAListKeepTheirOrderAndDefaults) {
  const auto tables = Experiment::parse(kAdult, {}, "adult.yaml").sections("data.tables");
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[0].integer("rows"), 10);
  EXPECT_EQ(tables[0].number("pooling_factor"), 3.0);
  EXPECT_TRUE(tables[0].boolean("fixed"));
  EXPECT_FALSE(tables[0].has("name"));
  EXPECT_EQ(tables[1].text("name"), "big");
  EXPECT_EQ(tables[1].integer("rows"), 1000000);
  EXPECT_FALSE(tables[1].boolean("fixed"));
  EXPECT_EQ(tables[1].number("zipf"), 1.2);
  EXPECT_EQ(tables[1].place("rows"), "adult.yaml:12:25");
}

TEST(Experiment, NamedSectionsMayHaveDotsInTheirNames) {
  const auto columns = Experiment::parse(kAdult).named_sections("data.columns");
  ASSERT_EQ(columns.size(), 2u);
  EXPECT_EQ(columns.at("age").integer("bins"), 20);
  EXPECT_FALSE(columns.at("age").has("encoding"));
  EXPECT_EQ(columns.at("capital.gain").text("bin_by"), "distinct");
}

TEST(Experiment, AskingForWhatTheSchemaLacksIsABug) {
  const auto experiment = Experiment::parse(with(""));
  EXPECT_THROW((void)experiment.integer("model.width"), std::logic_error);
  EXPECT_THROW((void)experiment.integer("train.max_steps"), std::logic_error) << "null: ask has() first";
  EXPECT_THROW((void)experiment.integer("train.learning_rate"), std::logic_error);
  EXPECT_THROW((void)experiment.text("seed"), std::logic_error);
  EXPECT_THROW((void)experiment.path("name"), std::logic_error);
}

TEST(Experiment, EmptySectionsAreTheDefaults) {
  const auto experiment = Experiment::parse(with("model:\ntrain: {}\nembedding: {tables: }\n"));
  EXPECT_EQ(experiment.integer("model.embedding_dim"), 16);
  EXPECT_TRUE(experiment.named_sections("embedding.tables").empty());
}

TEST(Override, ReplacesInOrder) {
  const auto experiment = Experiment::parse(
      kAdult, {"seed=8", "seed=9", "model.top_mlp=[4, 2]", "embedding.tables.income.dim=6", "data.tables[1].rows=5",
               "embedding.tables.capital.gain.learning_rate=0.5", "train.max_steps=10", "data.tables[0]={rows: 3}"});
  EXPECT_EQ(experiment.integer("seed"), 9);
  EXPECT_EQ(experiment.integers("model.top_mlp"), (std::vector<std::int64_t>{4, 2}));
  const auto tables = experiment.named_sections("embedding.tables");
  EXPECT_EQ(tables.at("income").integer("dim"), 6);
  EXPECT_EQ(tables.at("income").text("optimizer"), "adam") << "the rest of the map stays";
  EXPECT_EQ(tables.at("capital.gain").number("learning_rate"), 0.5);
  EXPECT_EQ(experiment.sections("data.tables")[1].integer("rows"), 5);
  EXPECT_EQ(experiment.sections("data.tables")[0].integer("rows"), 3);
  EXPECT_EQ(experiment.sections("data.tables")[0].number("pooling_factor"), 3.0) << "maps merge";
  EXPECT_EQ(experiment.integer("train.max_steps"), 10);
}

TEST(Override, TakesOneScalarAsItStands) {
  const auto text = [](const std::string& override, std::string_view key) {
    return Experiment::parse("data: {source: csv}\n", {override}).text(key);
  };
  EXPECT_EQ(text("data.separator=|", "data.separator"), "|");
  EXPECT_EQ(text("data.label=>50K: #1", "data.label"), ">50K: #1");
  EXPECT_EQ(text("data.label=a=b", "data.label"), "a=b");
  EXPECT_EQ(text("data.label=\"a\\tb\"", "data.label"), "a\tb");
  EXPECT_EQ(text("data.label=1", "data.label"), "1");
  EXPECT_EQ(text("data.delimiter=\t", "data.delimiter"), "\t");
  EXPECT_EQ(Experiment::parse(with("train: {max_steps: 5}\n"), {"train.max_steps=null"}).has("train.max_steps"), false);
  EXPECT_EQ(Experiment::parse("data: {source: csv}\n", {"data.missing=['', 'NA']"}).texts("data.missing"),
            (std::vector<std::string>{"", "NA"}));
}

TEST(Override, MergesAMapIntoASection) {
  const auto experiment = Experiment::parse(with("train: {epochs: 2}\n"), {"train={batch_size: 4}"});
  EXPECT_EQ(experiment.integer("train.batch_size"), 4);
  EXPECT_EQ(experiment.integer("train.epochs"), 2);
}

TEST(Path, StartsWhereItWasWritten) {
  const ScratchDirectory scratch;
  scratch.write("shared/base.yaml", "data: {source: csv, train: base.csv, test: ../t.csv}\n");
  const auto file = scratch.write("mine/run.yaml", "extends: ../shared/base.yaml\ndata: {validation: v.csv}\n");
  const auto experiment = Experiment::load(file, {"run.dir=out", "data.test=/abs/t.csv"});
  EXPECT_EQ(experiment.paths("data.train").at(0), scratch.path / "shared/base.csv");
  EXPECT_EQ(experiment.paths("data.validation").at(0), scratch.path / "mine/v.csv");
  EXPECT_EQ(experiment.path("run.dir"), std::filesystem::current_path() / "out");
  EXPECT_EQ(experiment.paths("data.test").at(0), "/abs/t.csv");
  EXPECT_EQ(Experiment::load(file).paths("data.test").at(0), scratch.path / "t.csv");
  EXPECT_EQ(experiment.text("name"), "run");
}

TEST(Extends, MergesMapsAndReplacesLists) {
  const ScratchDirectory scratch;
  scratch.write("a.yaml",
                "seed: 1\ndata: {source: csv, dense: [a, b]}\nmodel: {dropout: 0.5, linear: true}\n"
                "embedding: {tables: {x: {dim: 4, init: zero}, y: {dim: 8}}}\n");
  scratch.write("b.yaml", "extends: a.yaml\nseed: 2\nmodel:\n  # all commented out\n");
  const auto file = scratch.write("c.yaml",
                                  "extends: b.yaml\ndata: {dense: [c]}\nmodel: {dropout: 0.1}\n"
                                  "embedding: {tables: {x: {dim: 2}}}\n");
  const auto experiment = Experiment::load(file);
  EXPECT_EQ(experiment.integer("seed"), 2);
  EXPECT_EQ(experiment.text("data.source"), "csv");
  EXPECT_EQ(experiment.texts("data.dense"), (std::vector<std::string>{"c"}));
  EXPECT_EQ(experiment.number("model.dropout"), 0.1);
  EXPECT_TRUE(experiment.boolean("model.linear"));
  const auto tables = experiment.named_sections("embedding.tables");
  EXPECT_EQ(tables.at("x").integer("dim"), 2);
  EXPECT_EQ(tables.at("x").text("init"), "zero");
  EXPECT_EQ(tables.at("y").integer("dim"), 8);
  EXPECT_EQ(experiment.place("data.source"), (scratch.path / "a.yaml").string() + ":2:16");
}

TEST(Extends, CyclesAndMissingFilesAreRefused) {
  const ScratchDirectory scratch;
  scratch.write("a.yaml", "extends: b.yaml\n");
  const auto b = scratch.write("b.yaml", "data: {source: synthetic}\nextends: ./a.yaml\n");
  EXPECT_NE(refusal_of_file(b).find("extends comes back to"), std::string::npos);
  EXPECT_NE(refusal_of_file(b).find((scratch.path / "a.yaml").string() + ":1:10"), std::string::npos);
  const auto self = scratch.write("self.yaml", "extends: self.yaml\n");
  EXPECT_NE(refusal_of_file(self).find("extends comes back to"), std::string::npos);
  const auto lost = scratch.write("lost.yaml", "extends: none.yaml\n");
  EXPECT_NE(refusal_of_file(lost).find("none.yaml', at " + lost.string() + ":1:10"), std::string::npos);
  for (int i = 0; i < 20; ++i)
    scratch.write("chain" + std::to_string(i) + ".yaml", "extends: chain" + std::to_string(i + 1) + ".yaml\n");
  scratch.write("chain20.yaml", with(""));
  EXPECT_NE(refusal_of_file(scratch.path / "chain0.yaml").find("more than 16 files"), std::string::npos);
  EXPECT_EQ(refusal_of_file(scratch.path / "chain5.yaml"), "accepted") << "16 files";
  EXPECT_NE(refusal_of_file(scratch.path / "chain4.yaml"), "accepted") << "17 files";
}

TEST(Extends, AWrongValueIsPlacedInTheFileThatHasIt) {
  const ScratchDirectory scratch;
  scratch.write("base.yaml", "data: {source: synthetic}\nmodel:\n  dropuot: 1\n");
  const auto file = scratch.write("top.yaml", "extends: base.yaml\n");
  EXPECT_EQ(refusal_of_file(file), "unknown key 'dropuot' in model, at " + (scratch.path / "base.yaml").string() +
                                       ":3:3; did you mean 'dropout'?");
}

TEST(Environment, IsExpandedInTextsAndPaths) {
  ::setenv("SWALLOWTAIL_TEST_DIR", "/big/disk", 1);
  ::unsetenv("SWALLOWTAIL_TEST_UNSET");
  const auto experiment = Experiment::parse(
      "data: {source: csv, train: '${SWALLOWTAIL_TEST_DIR}/x.csv', label: 'a$${b}$c', dense: "
      "['n${SWALLOWTAIL_TEST_DIR}']}\n");
  EXPECT_EQ(experiment.paths("data.train").at(0), "/big/disk/x.csv");
  EXPECT_EQ(experiment.text("data.label"), "a${b}$c");
  EXPECT_EQ(experiment.texts("data.dense").at(0), "n/big/disk");
  EXPECT_EQ(
      refusal("data: {source: csv, label: '${SWALLOWTAIL_TEST_UNSET}'}\n"),
      "environment variable 'SWALLOWTAIL_TEST_UNSET' is not set, at adult.yaml:1:28; export it, or write $${ for the "
      "characters themselves");
  EXPECT_NE(refusal("data: {source: csv, label: '${X'}\n").find("without '}'"), std::string::npos);
  EXPECT_NE(refusal(with("seed: ${SWALLOWTAIL_TEST_DIR}\n")).find("use the override seed="), std::string::npos);
}

TEST(ToYaml, ReadsBackToTheSame) {
  const std::string awkward = std::string(kAdult) + "run: {dir: 'a b'}\n";
  const auto experiment =
      Experiment::parse(awkward, {"data.label=\"quotes \\\" and \\\\ and \\t and $${HOME} and : # \xC3\xA9\"",
                                  "train.learning_rate=0.1", "embedding.epsilon=1e-10"});
  const auto again = Experiment::parse(experiment.to_yaml(), {}, "other.yaml", "/elsewhere");
  EXPECT_EQ(again.to_yaml(), experiment.to_yaml());
  EXPECT_EQ(again.text("data.label"), "quotes \" and \\ and \t and ${HOME} and : # \xC3\xA9");
  EXPECT_EQ(again.paths("data.train"), experiment.paths("data.train")) << "paths are absolute";
  EXPECT_EQ(again.number("embedding.epsilon"), 1e-10);
  EXPECT_EQ(again.named_sections("data.columns").at("capital.gain").text("bin_by"), "distinct");
  EXPECT_EQ(again.sections("data.tables")[1].number("zipf"), 1.2);
  EXPECT_FALSE(again.has("train.max_steps"));
}

}  // namespace
}  // namespace swallowtail
