#include "trainer/cli/failure.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>

#include "parallel/error.h"

namespace swallowtail::cli {
namespace {

template <typename Exception>
Failure failure_of(const Exception& exception) {
  return describe_failure(std::make_exception_ptr(exception));
}

TEST(Failure, AnErrorKeepsItsCodeLineAndParts) {
  const auto failure = failure_of(Error{ExitCode::data, "label '?'", "train.csv:3:1", "correct it"});
  EXPECT_EQ(failure.exit_code, 3);
  EXPECT_EQ(failure.line, "swallowtail: error: label '?', at train.csv:3:1; correct it");
  EXPECT_EQ(failure.json.dump(),
            R"({"advice":"correct it","error":"label '?'","exit_code":3,"where":"train.csv:3:1"})");
}

TEST(Failure, StoppingOnRequestIsNoError) {
  const auto failure = failure_of(Error{ExitCode::stopped, "stopped at step 3", "", "use --resume"});
  EXPECT_EQ(failure.exit_code, 75);
  EXPECT_EQ(failure.line, "swallowtail: stopped at step 3; use --resume");
}

TEST(Failure, ExhaustedMemoryAndDisksEndWith7) {
  EXPECT_EQ(failure_of(std::bad_alloc()).exit_code, 7);
  EXPECT_EQ(
      failure_of(std::runtime_error("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")).exit_code,
      7);
  const auto no_space = std::make_error_code(std::errc::no_space_on_device);
  const auto failure = failure_of(std::filesystem::filesystem_error("rename", "/runs/a", no_space));
  EXPECT_EQ(failure.exit_code, 7);
  EXPECT_NE(failure.line.find("/runs/a"), std::string::npos);
}

TEST(Failure, WhatNobodyForesawIsOneLineToo) {
  const auto failure = failure_of(std::runtime_error("shape mismatch\nstack trace\nmore"));
  EXPECT_EQ(failure.exit_code, 1);
  EXPECT_EQ(failure.line.rfind("swallowtail: error: shape mismatch; ", 0), 0u);
  EXPECT_EQ(failure.line.find('\n'), std::string::npos);
  EXPECT_EQ(failure_of(42).exit_code, 1);
}

TEST(Failure, SaysWhereARankWasThatMayHaveFailedAlone) {
  const auto failure_at = [](const auto& exception) {
    return describe_failure(std::make_exception_ptr(exception), "rank 1 in lookup (step 7)").line;
  };
  EXPECT_EQ(failure_at(Error{ExitCode::data, "label '?'", "train.csv:3:1", "correct it"}),
            "swallowtail: error: label '?', at train.csv:3:1, rank 1 in lookup (step 7); correct it");
  EXPECT_EQ(failure_at(std::runtime_error("shape mismatch"))
                .rfind("swallowtail: error: shape mismatch, at rank 1 in lookup (step 7); ", 0),
            0u);
  EXPECT_NE(failure_at(std::bad_alloc()).find("out of memory, at rank 1 in lookup (step 7); "), std::string::npos);
  // These name rank and step themselves, or are all ranks' alike.
  for (const auto code : {ExitCode::usage, ExitCode::numbers, ExitCode::rank, ExitCode::damaged, ExitCode::stopped})
    EXPECT_EQ(failure_at(Error{code, "a fact", "a place"}).find("rank 1"), std::string::npos);
}

TEST(Failure, AMessageOfSeveralLinesIsPrintedAsOne) {
  EXPECT_EQ(failure_of(Error{ExitCode::usage, "a\nb"}).line, "swallowtail: error: a b");
}

}  // namespace
}  // namespace swallowtail::cli
