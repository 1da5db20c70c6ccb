#include "trainer/report/metrics_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "parallel/error.h"
#include "tests/unit/report/full_disk.h"
#include "tests/unit/report/temporary_folder.h"

namespace swallowtail {
namespace {

TEST(MetricsLog, WritesWholeLinesInOrderWith17Digits) {
  TemporaryFolder folder;
  MetricsLog log(folder / "metrics.jsonl");
  log.append({{"step", 100}, {"loss", 0.1}, {"learning_rate", 1.0}});
  log.append({{"step", 100}, {"split", "validation"}, {"auc", nullptr}, {"ne", std::nan("")}});
  EXPECT_EQ(read_text(folder / "metrics.jsonl"),
            "{\"step\":100,\"loss\":0.10000000000000001,\"learning_rate\":1.0}\n"
            "{\"step\":100,\"split\":\"validation\",\"auc\":null,\"ne\":null}\n");
}

TEST(MetricsLog, EveryNumberComesBackBitForBit) {
  using Limits = std::numeric_limits<double>;
  for (const double number : {0.0, -0.0, 1.0, 1e22, 0.1 + 0.2, 1.0 / 3, Limits::min(), Limits::denorm_min(),
                              Limits::max(), -Limits::epsilon(), std::nextafter(0.6931, 1.0)}) {
    const auto text = exact_json({{"x", number}});
    const auto read = nlohmann::json::parse(text)["x"];
    ASSERT_TRUE(read.is_number_float()) << text;
    EXPECT_EQ(std::bit_cast<std::uint64_t>(read.get<double>()), std::bit_cast<std::uint64_t>(number)) << text;
  }
  EXPECT_EQ(exact_json({{"x", Limits::infinity()}}), "{\"x\":null}");
}

TEST(MetricsLog, NestedAndAwkwardValuesAreValidJson) {
  nlohmann::ordered_json record = {{"b \"quoted\"\n", {1, 2.5, {{"a", true}}}},
                                   {"empty", nlohmann::ordered_json::object()}};
  record["none"] = nlohmann::ordered_json::array();
  EXPECT_EQ(nlohmann::ordered_json::parse(exact_json(record)), record);
  const auto latin1 = exact_json({{"file", "caf\xe9.csv"}});
  EXPECT_TRUE(nlohmann::json::accept(latin1)) << latin1;
}

TEST(MetricsLog, GoesOnWhereItStopped) {
  TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  { MetricsLog(path).append({{"step", 1}}); }
  { MetricsLog(path).append({{"step", 2}}); }
  EXPECT_EQ(read_text(path), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(MetricsLog, DropsTheHalfLineOfACrash) {
  TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  write_text(path, "{\"step\":1}\n{\"step\":2,\"lo");
  MetricsLog(path).append({{"step", 2}});
  EXPECT_EQ(read_text(path), "{\"step\":1}\n{\"step\":2}\n");
  write_text(path, "{\"st");
  MetricsLog(path).append({{"step", 1}});
  EXPECT_EQ(read_text(path), "{\"step\":1}\n");
}

TEST(MetricsLog, ForgetsTheStepsAfterTheCheckpoint) {
  TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  write_text(path,
             "{\"note\":\"no step\"}\n{\"step\":100}\n{\"step\":200}\n{\"step\":200,\"split\":\"validation\"}\n"
             "not json\n{\"step\":300}\n{\"step\":150}\n");
  MetricsLog log(path);
  EXPECT_EQ(log.truncate_after(200), 2);
  log.append({{"step", 201}});
  EXPECT_EQ(read_text(path),
            "{\"note\":\"no step\"}\n{\"step\":100}\n{\"step\":200}\n{\"step\":200,\"split\":\"validation\"}\n"
            "{\"step\":150}\n{\"step\":201}\n");
  EXPECT_EQ(log.truncate_after(1000), 0);
  EXPECT_EQ(log.truncate_after(0), 5);
  log.append({{"step", 1}});
  EXPECT_EQ(read_text(path), "{\"note\":\"no step\"}\n{\"step\":1}\n");
}

TEST(MetricsLog, AFullDiskLeavesNoHalfLine) {
  TemporaryFolder folder;
  const auto path = folder / "metrics.jsonl";
  MetricsLog log(path);
  log.append({{"step", 1}});
  {
    FullDisk full(15);  // four bytes after the first line
    try {
      log.append({{"step", 2}});
      ADD_FAILURE() << "wrote past the limit";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::resources);
      EXPECT_EQ(error.where(), path.string());
    }
    EXPECT_EQ(read_text(path), "{\"step\":1}\n");
  }
  log.append({{"step", 3}});
  EXPECT_EQ(read_text(path), "{\"step\":1}\n{\"step\":3}\n");
}

TEST(MetricsLog, AMissingFolderIsAResourceError) {
  try {
    MetricsLog log("/nonexistent/metrics.jsonl");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resources);
    EXPECT_NE(error.fact().find("No such file or directory"), std::string::npos) << error.message();
  }
}

}  // namespace
}  // namespace swallowtail
