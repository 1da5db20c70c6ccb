#include "trainer/report/run_directory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "parallel/error.h"
#include "tests/unit/report/temporary_folder.h"

namespace swallowtail {
namespace {

namespace fs = std::filesystem;

/// The error of opening, or nothing where it opened.
std::optional<Error> refusal(const fs::path& path, RunMode mode) {
  try {
    RunDirectory::open(path, mode);
    return {};
  } catch (const Error& error) {
    return error;
  }
}

void finished_run(const fs::path& path) {
  const auto run = RunDirectory::open(path, RunMode::create);
  write_text(run / "experiment.yaml", "name: first\n");
  fs::create_directories(run / "checkpoints/step-10");
  write_text(run / "checkpoints/step-10/weights", "w");
}

TEST(RunDirectory, MakesTheFolderAndItsParents) {
  TemporaryFolder folder;
  const auto run = RunDirectory::open(folder / "runs/a", RunMode::create);
  EXPECT_TRUE(fs::is_directory(folder / "runs/a"));
  EXPECT_EQ(run / "metrics.jsonl", folder / "runs/a/metrics.jsonl");
  EXPECT_TRUE(run.is_locked());
}

TEST(RunDirectory, NeverOverwritesARun) {
  TemporaryFolder folder;
  finished_run(folder / "a");
  const auto error = refusal(folder / "a", RunMode::create);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ExitCode::usage);
  for (const char* way : {"--resume", "another name", "--force"})
    EXPECT_NE(error->advice().find(way), std::string::npos) << error->message();
  EXPECT_EQ(read_text(folder / "a/experiment.yaml"), "name: first\n");
}

TEST(RunDirectory, ForceRemovesTheOldRunWholly) {
  TemporaryFolder folder;
  finished_run(folder / "a");
  const auto run = RunDirectory::open(folder / "a", RunMode::replace);
  EXPECT_FALSE(fs::exists(run / "experiment.yaml"));
  EXPECT_FALSE(fs::exists(run / "checkpoints"));
  EXPECT_FALSE(refusal(folder / "new", RunMode::replace));
}

TEST(RunDirectory, ForceLeavesOtherFoldersAlone) {
  TemporaryFolder folder;
  fs::create_directory(folder / "photos");
  write_text(folder / "photos/cat.jpg", "cat");
  // A folder where somebody keeps the experiment's file is no run either.
  fs::create_directory(folder / "work");
  write_text(folder / "work/experiment.yaml", "name: x\n");
  write_text(folder / "work/thesis.tex", "text");
  for (const auto mode : {RunMode::create, RunMode::replace})
    for (const char* name : {"photos", "work"}) {
      const auto error = refusal(folder / name, mode);
      ASSERT_TRUE(error) << name;
      EXPECT_EQ(error->code(), ExitCode::usage);
      EXPECT_FALSE(fs::exists(folder / name / "run.lock"));
    }
  EXPECT_TRUE(fs::exists(folder / "photos/cat.jpg"));
  EXPECT_TRUE(fs::exists(folder / "work/thesis.tex"));
}

TEST(RunDirectory, ForceDoesNotFollowLinksOutOfTheRun) {
  TemporaryFolder folder;
  finished_run(folder / "a");
  fs::create_directory(folder / "elsewhere");
  write_text(folder / "elsewhere/kept", "kept");
  fs::create_directory_symlink(folder / "elsewhere", folder / "a/link");
  EXPECT_FALSE(refusal(folder / "a", RunMode::replace));
  EXPECT_FALSE(fs::exists(folder / "a/link"));
  EXPECT_TRUE(fs::exists(folder / "elsewhere/kept"));
}

TEST(RunDirectory, AnEmptyFolderIsAPlaceForARun) {
  TemporaryFolder folder;
  fs::create_directory(folder / "a");
  EXPECT_FALSE(refusal(folder / "a", RunMode::create));
  EXPECT_FALSE(refusal(folder / "a", RunMode::create)) << "a run that died before its first file";
}

TEST(RunDirectory, ResumeNeedsARun) {
  TemporaryFolder folder;
  fs::create_directory(folder / "empty");
  for (const char* name : {"missing", "empty"}) {
    const auto error = refusal(folder / name, RunMode::resume);
    ASSERT_TRUE(error) << name;
    EXPECT_EQ(error->code(), ExitCode::usage);
    EXPECT_NE(error->advice().find("without --resume"), std::string::npos);
  }
  EXPECT_FALSE(fs::exists(folder / "missing"));
  finished_run(folder / "a");
  EXPECT_FALSE(refusal(folder / "a", RunMode::resume));
  EXPECT_EQ(read_text(folder / "a/experiment.yaml"), "name: first\n");
  EXPECT_TRUE(fs::exists(folder / "a/checkpoints/step-10/weights"));
}

TEST(RunDirectory, ASecondProcessIsRefusedAndTheFirstUntouched) {
  TemporaryFolder folder;
  const auto first = RunDirectory::open(folder / "a", RunMode::create);
  write_text(first / "experiment.yaml", "name: first\n");
  for (const auto mode : {RunMode::create, RunMode::replace, RunMode::resume}) {
    const auto error = refusal(folder / "a", mode);  // flock belongs to the open file, so one process shows it as well
    ASSERT_TRUE(error) << static_cast<int>(mode);
    EXPECT_EQ(error->code(), ExitCode::usage);
    EXPECT_NE(error->fact().find("another process"), std::string::npos) << error->message();
  }
  EXPECT_EQ(read_text(first / "experiment.yaml"), "name: first\n");
}

TEST(RunDirectory, ASecondProcessIsRefusedBeforeTheFirstWroteAnything) {
  TemporaryFolder folder;
  const auto first = RunDirectory::open(folder / "a", RunMode::create);
  EXPECT_TRUE(refusal(folder / "a", RunMode::create));
}

TEST(RunDirectory, TheLockEndsWithItsProcess) {
  TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = RunDirectory::open(folder / "a", RunMode::create);
    write_text(held / "experiment.yaml", "name: first\n");
    ::_exit(0);  // without destructors, as a killed process
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_FALSE(refusal(folder / "a", RunMode::resume));
}

TEST(RunDirectory, AFileInItsPlaceIsAResourceError) {
  TemporaryFolder folder;
  write_text(folder / "a", "a file");
  for (const auto& path : {folder / "a", folder / "a/b", fs::path("/proc/swallowtail")}) {
    const auto error = refusal(path, RunMode::create);
    ASSERT_TRUE(error) << path;
    EXPECT_EQ(error->code(), ExitCode::resources) << error->message();
    EXPECT_EQ(error->where(), path.string());
  }
  EXPECT_EQ(read_text(folder / "a"), "a file");
}

TEST(RunDirectory, NoWritePermissionIsAResourceError) {
  TemporaryFolder folder;
  fs::permissions(folder.path(),
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::seteuid(65534) != 0) ::_exit(9);  // root may write everywhere
    const auto error = refusal(folder / "a", RunMode::create);
    const bool is_right = error && error->code() == ExitCode::resources &&
                          error->message().find("Permission denied") != std::string::npos;
    ::_exit(is_right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  fs::permissions(folder.path(), fs::perms::owner_all);
}

}  // namespace
}  // namespace swallowtail
