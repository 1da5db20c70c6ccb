// The program as a user starts it: exit codes, one line for an error, one JSON object under --json.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace swallowtail::cli {
namespace {

namespace fs = std::filesystem;
const std::string kProgram = SWALLOWTAIL_PROGRAM;

struct Ended {
  int exit_code;
  std::string out, err;
};

std::string read(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "swallowtail_cli_XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  Ended start(const std::string& command) const {
    const int status =
        std::system(fmt::format("cd '{0}' && {1} > out 2> err < /dev/null", folder_.string(), command).c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read(folder_ / "out"), read(folder_ / "err")};
  }
  static int count(const std::string& text, const std::string& part) {
    int found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  }

  fs::path folder_;
};

TEST_F(Program, AnswersHelpAndVersionOnStandardOutput) {
  EXPECT_EQ(start(kProgram + " --version").out, "swallowtail " SWALLOWTAIL_VERSION "\n");
  for (const char* arguments : {"--help", "train --help", "evaluate -h", "doctor --help", "train --help-config"}) {
    const Ended ended = start(kProgram + " " + arguments);
    EXPECT_EQ(ended.exit_code, 0) << arguments;
    EXPECT_GT(ended.out.size(), 200u) << arguments;
    EXPECT_EQ(ended.err, "") << arguments;
  }
  EXPECT_NE(start(kProgram + " train --help").out.find("examples:"), std::string::npos);
}

TEST_F(Program, AnswersAnUnknownCommandWithTheNearest) {
  const Ended ended = start(kProgram + " trian a.yaml");
  EXPECT_EQ(ended.exit_code, 2);
  EXPECT_EQ(ended.err, "swallowtail: error: unknown command 'trian', at command line; did you mean 'train'?\n");
  EXPECT_EQ(ended.out, "");
}

TEST_F(Program, PlansWithoutAGpuAndWithoutData) {
  const std::string plan = kProgram + " plan " SWALLOWTAIL_SOURCE_DIR "/configs/synthetic_small.yaml";
  const Ended ended = start(plan + " --world-size 4 --cluster h100 --json --svg load.svg");
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  const auto json = nlohmann::json::parse(ended.out);
  EXPECT_TRUE(json.at("fits"));
  EXPECT_EQ(json.at("ranks").size(), 4u);
  EXPECT_TRUE(read(folder_ / "load.svg").starts_with("<svg"));
  const Ended full =
      start(kProgram + " plan " SWALLOWTAIL_SOURCE_DIR "/configs/plan_mlperf_dcnv2.yaml --world-size 1 --cluster h100");
  EXPECT_EQ(full.exit_code, 7);
  EXPECT_NE(full.err.find(" bytes ("), std::string::npos) << full.err;
}

TEST_F(Program, PrintsAFailureAsJsonToo) {
  const Ended ended = start(kProgram + " train nowhere.yaml --json");
  EXPECT_EQ(ended.exit_code, 2);
  const auto json = nlohmann::json::parse(ended.out);
  EXPECT_EQ(json.at("exit_code"), 2);
  EXPECT_NE(json.at("error").get<std::string>().find("nowhere.yaml"), std::string::npos);
  EXPECT_TRUE(json.contains("where") && json.contains("advice"));
  EXPECT_EQ(count(ended.err, "swallowtail: error: "), 1);
}

TEST_F(Program, RefusesContradictingArguments) {
  EXPECT_EQ(start(kProgram + " train").exit_code, 2);
  EXPECT_EQ(start(kProgram + " train a.yaml b.yaml").exit_code, 2);
  EXPECT_EQ(start(kProgram + " train a.yaml --resume --force").exit_code, 2);
  EXPECT_EQ(start(kProgram + " evaluate").exit_code, 2);
  EXPECT_EQ(start(kProgram + " evaluate r --data a.csv --split test").exit_code, 2);
  EXPECT_EQ(start(kProgram + " doctor a.yaml").exit_code, 2);
}

TEST_F(Program, SaysAnErrorOfAllRanksOnce) {
  // Before MPI is started, and after.
  for (const char* arguments : {"train --forse a.yaml", "train nowhere.yaml"}) {
    const Ended ended = start(fmt::format("mpirun --oversubscribe -n 3 {} {}", kProgram, arguments));
    EXPECT_EQ(ended.exit_code, 2) << arguments;
    EXPECT_EQ(count(ended.err, "swallowtail: error: "), 1) << ended.err;
  }
}

TEST_F(Program, DoctorFindsThisMachineInOrder) {
  const Ended ended = start(kProgram + " doctor --json");
  EXPECT_EQ(ended.exit_code, 0) << ended.out << ended.err;
  const auto json = nlohmann::json::parse(ended.out);
  EXPECT_EQ(json.at("ok"), true);
  std::string names;
  for (const auto& finding : json.at("findings")) {
    names += finding.at("name").get<std::string>() + ",";
    EXPECT_TRUE(finding.at("status") == "ok" || finding.at("status") == "warn") << finding;
    EXPECT_NE(finding.at("value"), "") << finding;
    EXPECT_EQ(finding.at("status") == "ok", finding.at("advice") == "") << finding;
  }
  EXPECT_EQ(names,
            "cpu,cores,memory,shared memory,mpi,mpi threads,user,run folder,disk,open files,gpu,libtorch,slurm,");
}

TEST_F(Program, WarnsOfMoreRanksThanCores) {
  const Ended ended = start("taskset -c 0 mpirun --oversubscribe --bind-to none -n 2 " + kProgram + " doctor --json");
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(count(ended.err, "swallowtail: warning: 2 ranks share 1 cores"), 1) << ended.err;
}

TEST_F(Program, RanksThatAreBoundToCoresOfTheirOwnShareNone) {
  const Ended ended = start("mpirun --oversubscribe --bind-to core -n 2 " + kProgram + " doctor --json");
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "this machine has one core";
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(count(ended.err, "warning: 2 ranks share"), 0) << ended.err;
}

/// Threads that do nothing else, until the load average says so.
class BusyMachine {
 public:
  BusyMachine() {
    for (int i = 0; i < 4; ++i)
      threads_.emplace_back([this] {
        while (!is_over_) {
        }
      });
    for (int second = 0; second < 60 && load() < 0.5; ++second) std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  ~BusyMachine() {
    is_over_ = true;
    for (std::thread& thread : threads_) thread.join();
  }
  BusyMachine(const BusyMachine&) = delete;
  BusyMachine& operator=(const BusyMachine&) = delete;
  static double load() {
    double average = 0;
    std::ifstream("/proc/loadavg") >> average;
    return average;
  }

 private:
  std::atomic<bool> is_over_ = false;
  std::vector<std::thread> threads_;
};

TEST_F(Program, BenchRefusesALoadedMachineUnlessForced) {
  const BusyMachine busy;
  ASSERT_GE(BusyMachine::load(), 0.5);
  const std::string bench = kProgram + " bench train --shape small --repeats 0";
  const Ended alone = start(bench);
  EXPECT_EQ(alone.exit_code, 2);
  EXPECT_EQ(alone.out, "");
  EXPECT_TRUE(alone.err.starts_with("swallowtail: error: other programs are running (load average ")) << alone.err;
  EXPECT_TRUE(alone.err.ends_with(" of 1 minute), at /proc/loadavg; wait until it is below 0.3, or give --force\n"));
  EXPECT_EQ(count(alone.err, "\n"), 1) << alone.err;
  const Ended ranks = start("mpirun --oversubscribe --bind-to none -n 2 " + bench);
  EXPECT_EQ(ranks.exit_code, 2);
  EXPECT_EQ(count(ranks.err, "other programs are running"), 1) << ranks.err;
  const Ended forced = start(bench + " --force");
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
}

TEST_F(Program, AnAnswerThatCannotBeWrittenIsAFailure) {
  EXPECT_EQ(start("bash -c '" + kProgram + " doctor --json > /dev/full'").exit_code, 7);
}

}  // namespace
}  // namespace swallowtail::cli
