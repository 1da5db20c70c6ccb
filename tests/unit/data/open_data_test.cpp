// The whole way from an experiment and its files to batches.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <numeric>

#include "parallel/local_communicator.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/dataset.h"

namespace swallowtail {
namespace {

using test::read_text;
using test::shared_data;
using test::TemporaryDirectory;

Data open(const TemporaryDirectory& directory, const std::string& yaml, bool reuse = false,
          const std::string& run = "run") {
  const auto experiment = Experiment::parse(yaml, {}, "experiment.yaml", directory.path());
  const auto rank = make_single_rank();
  return open_data(experiment, directory.path() / run, *rank, reuse);
}

Batch read_all(const Dataset& dataset) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.begin(), samples.end(), std::int64_t{0});
  Batch batch;
  dataset.read(samples, batch);
  return batch;
}

Error error_of(const TemporaryDirectory& directory, const std::string& yaml, bool reuse = false) {
  try {
    open(directory, yaml, reuse);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error from\n" << yaml;
  return Error{ExitCode::done, ""};
}

constexpr auto kSmallCsv = "income,age,city,tags,w\n1,20,Rome,a|b,1\n0,40,Oslo,,2\n0,?,Rome,b,0.5\n1,60,?,c|b|a,1\n";
constexpr auto kSmallYaml =
    "data: {source: csv, train: small.csv, label: income, dense: [age], categorical: [city], multi_hot: [tags], "
    "binned: [age], "
    "weight: w}";

TEST(OpenData, EncodesEveryKindOfColumnByHand) {
  TemporaryDirectory directory;
  directory.write("small.csv", kSmallCsv);
  const Data data = open(directory, kSmallYaml);
  ASSERT_EQ(data.train->size(), 4);
  EXPECT_EQ(data.validation, nullptr);
  EXPECT_EQ(data.rows_read, 4);
  EXPECT_EQ(data.rows_quarantined, 0);
  const auto& shape = data.train->shape();
  EXPECT_EQ(shape.dense, (std::vector<std::string>{"age", "age.missing"}));
  EXPECT_EQ(shape.labels, std::vector<std::string>{"income"});
  ASSERT_EQ(shape.categorical.size(), 3U);
  EXPECT_EQ(shape.categorical[0].name, "city");
  EXPECT_EQ(shape.categorical[0].rows, 4);  // unknown, missing, Rome, Oslo
  EXPECT_EQ(shape.categorical[1].name, "tags");
  EXPECT_EQ(shape.categorical[1].rows, 4);  // unknown, b, a, c
  EXPECT_EQ(shape.categorical[1].mean_ids, 1.5);
  EXPECT_EQ(shape.categorical[2].name, "age.bin");
  EXPECT_EQ(shape.categorical[2].rows, 4);  // missing, 20, 40, 60

  const Batch batch = read_all(*data.train);
  EXPECT_EQ(batch.labels, (std::vector<float>{1, 0, 0, 1}));
  EXPECT_EQ(batch.weights, (std::vector<float>{1, 2, 0.5F, 1}));
  const auto far = static_cast<float>(20 / std::sqrt(800.0 / 3));  // mean 40, population variance 800 / 3
  EXPECT_EQ(batch.dense, (std::vector<float>{-far, 0, 0, 0, 0, 1, far, 0}));
  EXPECT_EQ(batch.ids[0].values, (std::vector<std::int64_t>{2, 3, 2, 1}));
  EXPECT_EQ(batch.ids[0].offsets, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(batch.ids[1].values, (std::vector<std::int64_t>{2, 1, 1, 3, 1, 2}));
  EXPECT_EQ(batch.ids[1].offsets, (std::vector<std::int64_t>{0, 2, 2, 3, 6}));
  EXPECT_TRUE(batch.ids[1].weights.empty());
  EXPECT_EQ(batch.ids[2].values, (std::vector<std::int64_t>{1, 2, 0, 3}));
  EXPECT_TRUE(data.train->origin(2).ends_with("small.csv:4")) << data.train->origin(2);
}

TEST(OpenData, LearnsFromTheTrainingPartOnly) {
  TemporaryDirectory directory;
  directory.write("a.csv", "label,x,c\n1,1,a\n0,3,b\n");
  directory.write("b.csv",
                  "c,x,label\nz,1000,1\na,?,0\n");  // another order of columns, a new category, a missing number
  const Data data = open(directory, "data: {source: csv, train: a.csv, test: b.csv, dense: [x], categorical: [c]}");
  EXPECT_EQ(data.test->shape().dense, std::vector<std::string>{"x"});
  EXPECT_EQ(data.test->shape().categorical[0].rows, 3);
  const Batch batch = read_all(*data.test);
  EXPECT_EQ(batch.dense, (std::vector<float>{998, 0}));  // mean 2, deviation 1
  EXPECT_EQ(batch.ids[0].values, (std::vector<std::int64_t>{0, 1}));
  EXPECT_EQ(batch.labels, (std::vector<float>{1, 0}));
}

TEST(OpenData, QuarantinesBadRowsAndCountsThem) {
  TemporaryDirectory directory;
  directory.write("bad.csv", "label,x\n1,1\n?,2\n0,nan\n0,1e99\n1,a\tb\n0\n1,2,3\n0,-5\n");
  const Data data = open(directory, "data: {source: csv, train: bad.csv, dense: [x], max_bad_fraction: 0.8}");
  EXPECT_EQ(data.rows_read, 8);
  EXPECT_EQ(data.rows_quarantined, 6);
  EXPECT_EQ(data.train->size(), 2);
  const std::string text = read_text(directory.path() / "run" / "quarantine.tsv");
  const std::string file = (directory.path() / "bad.csv").string();
  EXPECT_EQ(text, "file\tline\tcolumn\tvalue\treason\n" + file +
                      "\t3\t1\t?\tlabel is in neither data.positive_labels nor data.negative_labels\n" + file +
                      "\t4\t2\tnan\tnot a finite number\n" + file + "\t5\t2\t1e99\tnumber beyond the range of fp32\n" +
                      file + "\t6\t2\ta\\tb\tnot a number\n" + file + "\t7\t1\t0\t1 fields where the header has 2\n" +
                      file + "\t8\t3\t3\t3 fields where the header has 2\n");
}

TEST(OpenData, FailsAtTheFirstBadRowWhereAsked) {
  TemporaryDirectory directory;
  directory.write("bad.csv", "label,x\n1,1\n0,oops\n");
  const Error error = error_of(directory, "data: {source: csv, train: bad.csv, dense: [x], on_bad_row: fail}");
  EXPECT_EQ(error.code(), ExitCode::data);
  EXPECT_TRUE(error.where().ends_with("bad.csv:3:2")) << error.where();
  EXPECT_NE(error.fact().find("'oops'"), std::string::npos) << error.fact();
}

TEST(OpenData, RefusesTooManyBadRowsAndShowsTheFirst) {
  TemporaryDirectory directory;
  directory.write("bad.csv", "label,x\n1,1\n0,oops\n0,2\n");
  const Error error = error_of(directory, "data: {source: csv, train: bad.csv, dense: [x], max_bad_fraction: 0.3}");
  EXPECT_EQ(error.code(), ExitCode::data);
  EXPECT_NE(error.fact().find("1 of 3 rows are bad"), std::string::npos) << error.fact();
  EXPECT_NE(error.fact().find("bad.csv:3:2 'oops'"), std::string::npos) << error.fact();
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "run" / "quarantine.tsv"));
  EXPECT_EQ(open(directory, "data: {source: csv, train: bad.csv, dense: [x], max_bad_fraction: 0.34}").rows_quarantined,
            1);
}

TEST(OpenData, SaysWhichFileOrColumnIsWrong) {
  TemporaryDirectory directory;
  directory.write("good.csv", "label,age\n1,1\n0,2\n");
  directory.write("header.csv", "label,age\n");
  directory.write("empty.csv", "");
  directory.write("all_bad.csv", "label,age\n7,1\n8,2\n");
  const auto expect = [&](const std::string& data, ExitCode code, const std::string& words) {
    const Error error = error_of(directory, "data: {source: csv, " + data + "}");
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_NE(error.message().find(words), std::string::npos) << error.message();
  };
  expect("train: none.csv, dense: [age]", ExitCode::data, "no such file (data.train)");
  expect("train: 'none*.csv', dense: [age]", ExitCode::data, "no file matches the glob");
  expect("train: ., dense: [age]", ExitCode::data, "this is a directory");
  expect("train: header.csv, dense: [age]", ExitCode::data, "data.train holds no rows");
  expect("train: empty.csv, dense: [age]", ExitCode::data, "the file is empty");
  expect("train: all_bad.csv, dense: [age]", ExitCode::data, "2 of 2 rows are bad");
  expect("train: all_bad.csv, dense: [age], max_bad_fraction: 1", ExitCode::data, "every row of data.train is bad");
  expect("train: good.csv, dense: [aeg]", ExitCode::usage, "did you mean 'age'?");
  expect("train: good.csv, dense: [label]", ExitCode::usage, "is the label");
  expect("train: good.csv", ExitCode::usage, "no column is named as a feature");
  expect("dense: [age]", ExitCode::usage, "no training files");
  expect("train: good.csv, dense: [age], columns: {agg: {bins: 3}}", ExitCode::usage, "did you mean 'age'?");
  expect("train: good.csv, dense: [age, age]", ExitCode::usage, "named twice");
}

std::string numbered_csv(int rows) {
  std::string text = "label,x\n";
  for (int i = 0; i < rows; ++i) text += fmt::format("{},{}\n", i % 2, i);
  return text;
}

TEST(OpenData, SplitsInOrder) {
  TemporaryDirectory directory;
  directory.write("n.csv", numbered_csv(100));
  const Data data = open(directory,
                         "data: {source: csv, train: n.csv, dense: [x], normalize: none, "
                         "split: {validation: 0.1, test: 0.2, by: order}}");
  EXPECT_EQ(data.rows_read, 100);
  std::vector<float> expected(70);
  std::iota(expected.begin(), expected.end(), 0.0F);
  EXPECT_EQ(read_all(*data.train).dense, expected);
  expected.resize(10);
  std::iota(expected.begin(), expected.end(), 70.0F);
  EXPECT_EQ(read_all(*data.validation).dense, expected);
  expected.resize(20);
  std::iota(expected.begin(), expected.end(), 80.0F);
  EXPECT_EQ(read_all(*data.test).dense, expected);
}

TEST(OpenData, LearnsFromTheTrainingRowsOfASplitFile) {
  TemporaryDirectory directory;
  directory.write("n.csv", "label,x,c\n1,1,a\n0,3,b\n1,5,b\n0,1000,new\n");
  const Data data = open(directory,
                         "data: {source: csv, train: n.csv, dense: [x], categorical: [c], normalize: none, "
                         "split: {test: 0.25, by: order}}");
  EXPECT_EQ(data.train->shape().categorical[0].rows, 3);  // unknown, b, a
  EXPECT_EQ(read_all(*data.test).ids[0].values, std::vector<std::int64_t>{0});
  EXPECT_EQ(data.validation, nullptr);
}

TEST(OpenData, SplitsAtRandomIntoDisjointPartsBySeed) {
  TemporaryDirectory directory;
  directory.write("n.csv", numbered_csv(5000));
  const auto yaml = [](int seed) {
    return fmt::format(
        "seed: {}\ndata: {{source: csv, train: n.csv, dense: [x], normalize: none, split: {{validation: 0.1, test: "
        "0.2}}}}",
        seed);
  };
  const Data data = open(directory, yaml(1));
  std::vector<int> seen(5000);
  for (const auto* part : {&data.train, &data.validation, &data.test})
    for (const float x : read_all(**part).dense) ++seen[static_cast<std::size_t>(x)];
  EXPECT_EQ(seen, std::vector<int>(5000, 1));
  EXPECT_NEAR(static_cast<double>(data.validation->size()), 500, 100);  // 4.7 standard deviations
  EXPECT_NEAR(static_cast<double>(data.test->size()), 1000, 135);
  EXPECT_EQ(read_all(*open(directory, yaml(1), false, "same").test).dense, read_all(*data.test).dense);
  EXPECT_NE(read_all(*open(directory, yaml(2), false, "other").test).dense, read_all(*data.test).dense);
}

TEST(OpenData, ReusesTheEncodingAndTheStoreOfUnchangedSources) {
  TemporaryDirectory directory;
  directory.write("a.csv", "label,x,c\n1,1,a\n0,3,b\n7,3,b\n");
  directory.write("b.csv", "label,x,c\n1,5,a\n0,6,q\n8,6,q\n");
  const std::string yaml =
      "data: {source: csv, train: a.csv, test: b.csv, dense: [x], categorical: [c], max_bad_fraction: 0.5}";
  const Data first = open(directory, yaml);
  EXPECT_EQ(first.rows_quarantined, 2);
  const auto prepared = directory.path() / "run" / "prepared";
  const auto written = std::filesystem::last_write_time(prepared / "train.rows");
  const Data again = open(directory, yaml, true);
  EXPECT_EQ(again.fingerprint, first.fingerprint);
  EXPECT_EQ(again.rows_read, 6);
  EXPECT_EQ(again.rows_quarantined, 2);
  EXPECT_EQ(std::filesystem::last_write_time(prepared / "train.rows"), written);

  // Another test file: only that part is made again, by the old encoding; train.csv's quarantined row stays recorded.
  directory.write("b.csv", "label,x,c\n0,9,b\n");
  const Data changed = open(directory, yaml, true);
  EXPECT_NE(changed.fingerprint, first.fingerprint);
  EXPECT_EQ(std::filesystem::last_write_time(prepared / "train.rows"), written);
  EXPECT_EQ(read_all(*changed.test).dense, std::vector<float>{7});
  EXPECT_EQ(read_all(*changed.test).ids[0].values, std::vector<std::int64_t>{2});
  EXPECT_EQ(changed.rows_quarantined, 1);
  const std::string quarantine = read_text(directory.path() / "run" / "quarantine.tsv");
  EXPECT_NE(quarantine.find("a.csv\t4\t1\t7"), std::string::npos) << quarantine;
  EXPECT_EQ(quarantine.find("b.csv"), std::string::npos) << quarantine;

  // A damaged store is noticed and made again.
  std::string rows = read_text(prepared / "train.rows");
  rows[0] = static_cast<char>(rows[0] ^ 1);
  directory.write("run/prepared/train.rows", rows);
  EXPECT_EQ(read_all(*open(directory, yaml, true).train).dense, (std::vector<float>{-1, 1}));

  EXPECT_EQ(open(directory, yaml + "\nseed: 3", true).fingerprint, changed.fingerprint)
      << "nothing was split by the seed";
}

TEST(OpenData, RefusesToReuseUnderOtherOptions) {
  TemporaryDirectory directory;
  directory.write("a.csv", "label,x\n1,1\n0,3\n");
  open(directory, "data: {source: csv, train: a.csv, dense: [x]}");
  EXPECT_EQ(error_of(directory, "data: {source: csv, train: a.csv, dense: [x], normalize: log}", true).code(),
            ExitCode::usage);
  TemporaryDirectory fresh;
  fresh.write("a.csv", "label,x\n1,1\n0,3\n");
  EXPECT_EQ(error_of(fresh, "data: {source: csv, train: a.csv, dense: [x]}", true).code(), ExitCode::data);
}

TEST(OpenData, AllRanksSeeTheSame) {
  TemporaryDirectory directory;
  directory.write("small.csv", kSmallCsv);
  const auto experiment = Experiment::parse(kSmallYaml, {}, "experiment.yaml", directory.path());
  std::array<std::string, 4> fingerprints;
  std::atomic<int> rows = 0;
  run_ranks(4, [&](Communicator& ranks) {
    const Data data = open_data(experiment, directory.path() / "run", ranks);
    fingerprints[static_cast<std::size_t>(ranks.rank())] = data.fingerprint;
    rows += static_cast<int>(data.train->size() + data.rows_read);
  });
  EXPECT_EQ(rows, 32);
  EXPECT_EQ(fingerprints[0].size(), 64U);
  for (const auto& fingerprint : fingerprints) EXPECT_EQ(fingerprint, fingerprints[0]);
}

TEST(OpenData, ReadsTheCriteoSample) {
  const auto path = shared_data("criteo_sample/criteo_sample.tsv");
  if (path.empty()) GTEST_SKIP() << "no criteo_sample beside the checkout";
  TemporaryDirectory directory;
  const Data data = open(directory, fmt::format("data: {{source: criteo_tsv, train: '{}'}}", path.string()));
  ASSERT_EQ(data.train->size(), 200);
  EXPECT_EQ(data.rows_quarantined, 0);
  const Batch batch = read_all(*data.train);
  EXPECT_EQ(std::accumulate(batch.labels.begin(), batch.labels.end(), 0.0F), 49);
  ASSERT_EQ(batch.ids.size(), 26U);
  // First line: I1 missing, I2 = 3, I3 = 260; the fourth line's I2 is -1 in the file's second line.
  const std::size_t width = data.train->shape().dense.size();
  EXPECT_EQ(batch.dense[0], 0);
  EXPECT_FLOAT_EQ(batch.dense[1], std::log(4.0F));
  EXPECT_FLOAT_EQ(batch.dense[2], std::log(261.0F));
  EXPECT_EQ(batch.dense[width + 1], 0);  // max(-1, 0)
  std::int64_t missing = 0;
  for (std::size_t b = 0; b < 200; ++b)
    for (std::size_t i = 13; i < width; ++i) missing += batch.dense[b * width + i] == 1;
  EXPECT_EQ(missing, 528);
  std::int64_t missing_categories = 0;  // row 1, in every column that misses any
  for (std::size_t f = 0; f < 26; ++f)
    if (data.train->shape().categorical[f].rows > 0)
      missing_categories += std::count(batch.ids[f].values.begin(), batch.ids[f].values.end(), 1);
  EXPECT_GE(missing_categories, 573);  // in the other columns row 1 is the most common category
}

TEST(OpenData, ReadsFrappe) {
  const auto path = shared_data("frappe/frappe.test.libfm");
  if (path.empty()) GTEST_SKIP() << "no frappe beside the checkout";
  TemporaryDirectory directory;
  const Data whole = open(
      directory, fmt::format("data: {{source: libfm, train: '{}', index_space: 5382}}", path.string()), false, "a");
  ASSERT_EQ(whole.train->size(), 28860);
  ASSERT_EQ(whole.train->shape().categorical.size(), 1U);
  EXPECT_EQ(whole.train->shape().categorical[0].rows, 5382);
  EXPECT_EQ(whole.train->shape().categorical[0].mean_ids, 10);
  EXPECT_TRUE(whole.train->shape().categorical[0].weighted);
  const Batch all = read_all(*whole.train);
  EXPECT_NEAR(std::accumulate(all.labels.begin(), all.labels.end(), 0.0) / 28860, 0.330, 0.0005);
  EXPECT_EQ(all.ids[0].weights, std::vector<float>(288600, 1.0F));

  const Data fields =
      open(directory,
           fmt::format("data: {{source: libfm, train: '{}', index_space: 5382, field_starts: [0, 957, 5039, 5046, "
                       "5053, 5055, 5058, 5060, 5069, 5149]}}",
                       path.string()),
           false, "b");
  const auto& categorical = fields.train->shape().categorical;
  ASSERT_EQ(categorical.size(), 10U);
  EXPECT_EQ(categorical[0].rows, 957);
  EXPECT_EQ(categorical[9].rows, 233);
  const Batch split = read_all(*fields.train);
  for (std::size_t i = 0; i < 28860; ++i)
    ASSERT_EQ(split.ids[1].values[i] + 957, all.ids[0].values[10 * i + 1]) << "one item a line, the second index";
}

TEST(OpenData, ReadsAdultAsItIsCommitted) {
  const auto adult = std::filesystem::path(SWALLOWTAIL_SOURCE_DIR) / "configs" / "data" / "adult";
  TemporaryDirectory directory;
  const std::string numbers = "[age, fnlwgt, education-num, capital-gain, capital-loss, hours-per-week]";
  const Data data = open(
      directory,
      fmt::format(
          "data: {{source: csv, train: '{0}/train.csv.zst', validation: '{0}/validation.csv.zst', test: "
          "'{0}/test.csv.zst', "
          "label: income, dense: {1}, binned: {1}, categorical: [workclass, education, marital-status, occupation, "
          "relationship, race, gender, native-country]}}",
          adult.string(), numbers));
  ASSERT_EQ(data.train->size(), 34000);
  ASSERT_EQ(data.validation->size(), 5000);
  ASSERT_EQ(data.test->size(), 9842);
  EXPECT_EQ(data.rows_read, 48842);
  EXPECT_EQ(data.rows_quarantined, 0);
  const Batch batch = read_all(*data.train);
  for (std::size_t i = 0; i < 6; ++i) {  // standardised
    double sum = 0, squares = 0;
    for (std::size_t b = 0; b < 34000; ++b) {
      sum += batch.dense[b * 6 + i];
      squares += static_cast<double>(batch.dense[b * 6 + i]) * batch.dense[b * 6 + i];
    }
    EXPECT_NEAR(sum / 34000, 0, 1e-6);
    EXPECT_NEAR(squares / 34000, 1, 1e-5);
  }
  // Capital gain is 0 in nine of ten rows: by values it would have few bins, by distinct values it has all of them.
  const auto& shape = data.train->shape();
  ASSERT_EQ(shape.categorical[8 + 3].name, "capital-gain.bin");
  EXPECT_GE(shape.categorical[8 + 3].rows, 45);
  EXPECT_LE(shape.categorical[8 + 3].rows, 49);
  const Batch test = read_all(*data.test);
  EXPECT_EQ(std::count(test.ids[0].values.begin(), test.ids[0].values.end(), 1), 547);  // workclass is missing
  EXPECT_EQ(std::count(test.ids[3].values.begin(), test.ids[3].values.end(), 1), 549);
  EXPECT_EQ(std::count(test.ids[7].values.begin(), test.ids[7].values.end(), 1), 171);
}

}  // namespace
}  // namespace swallowtail
