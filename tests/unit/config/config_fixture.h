// What the tests of the experiment file share: a scratch directory, and the one line of a refusal.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "trainer/config/experiment.h"

namespace swallowtail {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "swallowtail-config-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no scratch directory");
    path = pattern;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::filesystem::path write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories((path / name).parent_path());
    std::ofstream(path / name, std::ios::binary) << text;
    return path / name;
  }
  std::filesystem::path path;
};

/// The error line of an experiment that must be refused; "accepted" where it is not.
inline std::string refusal(const std::string& yaml, const std::vector<std::string>& overrides = {}) {
  try {
    Experiment::parse(yaml, overrides, "adult.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage) << error.message();
    EXPECT_EQ(error.message().find('\n'), std::string::npos) << error.message();
    return error.message().substr(std::string("swallowtail: error: ").size());
  }
  return "accepted";
}

inline std::string refusal_of_file(const std::filesystem::path& file, const std::vector<std::string>& overrides = {}) {
  try {
    Experiment::load(file, overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage) << error.message();
    EXPECT_EQ(error.message().find('\n'), std::string::npos) << error.message();
    return error.message().substr(std::string("swallowtail: error: ").size());
  }
  return "accepted";
}

/// A synthetic experiment with lines added; line 1 is the data section.
inline std::string with(const std::string& lines) { return "data: {source: synthetic}\n" + lines; }

}  // namespace swallowtail
