// Every wrong experiment is answered with one line that names the place and what to do.
#include "tests/unit/config/config_fixture.h"

namespace swallowtail {
namespace {

TEST(Refusal, UnknownKeyIsAnsweredWithTheNearest) {
  EXPECT_EQ(refusal(with("model:\n  embeding_dim: 8\n")),
            "unknown key 'embeding_dim' in model, at adult.yaml:3:3; did you mean 'embedding_dim'?");
  EXPECT_EQ(refusal(with("modle: {}\n")), "unknown key 'modle', at adult.yaml:2:1; did you mean 'model'?");
  EXPECT_EQ(refusal("data:\n  source: synthetic\n  tables:\n    - {rows: 5}\n    - {row: 5}\n"),
            "unknown key 'row' in data.tables[1], at adult.yaml:5:8; did you mean 'rows'?");
  EXPECT_EQ(refusal(with("embedding: {tables: {income: {dims: 4}}}\n")),
            "unknown key 'dims' in embedding.tables.income, at adult.yaml:2:31; did you mean 'dim'?");
}

TEST(Refusal, KeyOfAnotherSectionIsSentThere) {
  EXPECT_EQ(
      refusal(with("batch_size: 8\n")),
      "unknown key 'batch_size', at adult.yaml:2:1; did you mean 'train.batch_size'? Keys stand within their section");
}

TEST(Refusal, WrongTypeNamesWhatWasExpected) {
  EXPECT_EQ(refusal(with("seed: one\n")), "seed expects an integer, got 'one', at adult.yaml:2:7");
  EXPECT_EQ(refusal(with("seed: [1]\n")), "seed expects an integer, got a list, at adult.yaml:2:7");
  EXPECT_EQ(refusal(with("model: 5\n")),
            "model expects a map of keys, got '5', at adult.yaml:2:8; see configs/REFERENCE.md");
  EXPECT_EQ(refusal(with("train: {class_weights: 2}\n")),
            "train.class_weights expects a list of numbers, got '2', at adult.yaml:2:24; write [A, B]");
  EXPECT_EQ(refusal(with("model: {top_mlp: [8, x]}\n")),
            "model.top_mlp expects an integer, got 'x', at adult.yaml:2:22");
  EXPECT_EQ(refusal(with("model: {linear: yes}\n")),
            "model.linear expects true or false, got 'yes', at adult.yaml:2:17; write true or false, without quotes");
  EXPECT_EQ(refusal(with("model: {linear: \"true\"}\n")),
            "model.linear expects true or false, got the text 'true', at adult.yaml:2:17; write true or false, without "
            "quotes");
  EXPECT_EQ(refusal(with("train: {epochs: null}\n")).substr(0, 45), "train.epochs expects a value, got null, at ad");
  EXPECT_EQ(refusal("data: {source: synthetic, tables: {rows: 5}}\n"),
            "data.tables expects a list of maps, got a map, at adult.yaml:1:35; see configs/REFERENCE.md");
}

TEST(Refusal, ValueOutOfRangeNamesTheRange) {
  EXPECT_EQ(refusal(with("train: {batch_size: 0}\n")),
            "train.batch_size is '0', at adult.yaml:2:21; give a value from 1 to 1000000000");
  EXPECT_EQ(refusal(with("model: {dropout: 0.96}\n")),
            "model.dropout is '0.96', at adult.yaml:2:18; give a value from 0 to 0.95");
  EXPECT_EQ(refusal(with("train: {average_decay: 1}\n")),
            "train.average_decay is '1', at adult.yaml:2:24; give a value at least 0 and below 1");
  EXPECT_EQ(refusal(with("model: {cross_layers: 0}\n")),
            "model.cross_layers is '0', at adult.yaml:2:23; give a value from 1 to 100");
  EXPECT_EQ(refusal(with("model: {top_mlp: [8, 0]}\n")),
            "model.top_mlp is '0', at adult.yaml:2:22; give a value from 1 to 65536");
  EXPECT_EQ(refusal(with("train: {class_weights: [1, 2, 3]}\n")),
            "train.class_weights has 3 elements, at adult.yaml:2:24; give 2 elements");
  EXPECT_EQ(refusal("data: {source: csv, label: ''}\n"),
            "data.label has 0 characters, at adult.yaml:1:28; give at least 1 characters");
}

TEST(Refusal, UnknownChoiceIsAnsweredWithTheNearest) {
  EXPECT_EQ(refusal(with("model: {interaction: dott}\n")),
            "unknown value 'dott' for model.interaction, at adult.yaml:2:22; did you mean 'dot'?");
  EXPECT_EQ(refusal(with("model: {interaction: attention}\n")),
            "unknown value 'attention' for model.interaction, at adult.yaml:2:22; known are dot, cross, cat");
}

TEST(Refusal, RequiredKeyIsAskedFor) {
  EXPECT_EQ(
      refusal("seed: 1\n"),
      "data.source is not set, at adult.yaml:1:1; set it: one of csv, criteo_tsv, libfm, synthetic, interactions");
  EXPECT_EQ(refusal("data:\n  source: synthetic\n  tables:\n    - {dim: 4}\n"),
            "data.tables[0].rows is not set, at adult.yaml:4:7; set it: integer");
}

TEST(Refusal, SplitMustLeaveRowsToTrainOn) {
  EXPECT_EQ(
      refusal("data: {source: csv, split: {validation: 0.5, test: 0.5}}\n"),
      "data.split leaves nothing to train on: validation 0.5 and test 0.5, at adult.yaml:1:52; give a sum below 1");
}

TEST(Refusal, NameMustBeADirectoryName) {
  EXPECT_NE(refusal(with("name: ../up\n")).find("cannot be a directory, at adult.yaml:2:7"), std::string::npos);
  EXPECT_NE(refusal(with("name: ..\n")).find("cannot be a directory"), std::string::npos);
}

TEST(Refusal, OverridesAreAnsweredTheSameWay) {
  EXPECT_EQ(refusal(with(""), {"model.embeding_dim=8"}),
            "unknown key 'embeding_dim' in model, at command line; did you mean 'embedding_dim'?");
  EXPECT_EQ(refusal(with(""), {"seed=x"}), "seed expects an integer, got 'x', at command line");
  EXPECT_EQ(refusal(with(""), {"seed"}), "'seed' is not an override, at command line; write section.key=value");
  EXPECT_EQ(refusal(with(""), {"=5"}), "'=5' is not an override, at command line; write section.key=value");
  EXPECT_EQ(refusal(with(""), {"extends=a.yaml"}),
            "extends cannot be overridden, at command line; write it into a file");
  EXPECT_EQ(refusal(with(""), {"data.tables[1].rows=5"}),
            "tables has 0 elements, but override 'data.tables[1].rows' names element 1, at command line; elements "
            "count from 0");
  EXPECT_EQ(refusal(with(""), {"model.top_mlp=[8\nseed: 4"}).substr(0, 9), "not YAML:");
  EXPECT_EQ(refusal(with(""), {"model.top_mlp=[8]\nseed: 4"}).substr(0, 40),
            "the value of override 'model.top_mlp' is");
  EXPECT_EQ(refusal(with(""), {"seed.x=5"}), "seed expects an integer, got a map, at command line");
  EXPECT_NE(refusal(with("seed: 4\n"), {"seed.x=5"}).find("goes into what is not a map, at adult.yaml:2:7"),
            std::string::npos);
}

TEST(Refusal, ControlCharactersOfTheUserAreShownAsEscapes) {
  EXPECT_EQ(refusal(with("embedding: {tables: {\"a\\nb\": {dims: 4}}}\n")),
            "a control character in the name 'a\\x0ab' in embedding.tables, at adult.yaml:2:22; rename it");
  EXPECT_NE(refusal(with(""), {"embedding.tables.a\nb.dims=4"}).find("in the name 'a\\x0ab'"), std::string::npos);
  EXPECT_NE(refusal(with("\"a\\nb\": 1\n")).find("unknown key 'a\\x0ab'"), std::string::npos);
  EXPECT_NE(refusal(with(std::string(1000, 'k') + ": 1\n")).find("unknown key '" + std::string(60, 'k') + "…'"),
            std::string::npos);
}

}  // namespace
}  // namespace swallowtail
