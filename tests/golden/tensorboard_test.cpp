// Event files that TensorBoardWriter wrote are read back by the real tensorboard package, value by value.
// Usage: tensorboard_golden PYTHON READER; exits 77 (skipped) where PYTHON is missing and the environment has no
// CI=true.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "trainer/report/tensorboard.h"

namespace {

namespace fs = std::filesystem;

std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  std::string out;
  std::array<char, 4096> buffer;
  for (std::size_t got; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) out.append(buffer.data(), got);
  return ::pclose(pipe) == 0 ? out : "the reader failed\n" + out;
}

/// As Python prints a float that came from fp32.
std::string line(const char* tag, std::int64_t step, float value) {
  return fmt::format("{}\t{}\t{}\n", tag, step, static_cast<double>(value));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  if (!fs::exists(argv[1])) {
    const char* ci = std::getenv("CI");
    const bool must_run = ci != nullptr && std::strcmp(ci, "true") == 0;
    fmt::print("no interpreter {}: scripts/test makes it; {}\n", argv[1], must_run ? "failed" : "skipped");
    return must_run ? 1 : 77;
  }
  std::string folder = (fs::temp_directory_path() / "swallowtail-tensorboard-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 1;

  std::string wanted;
  {
    swallowtail::TensorBoardWriter writer(folder);
    writer.scalar("train/loss", 0, 0.6931471805599453);
    writer.scalar("train/loss", 100, 0.25);
    writer.scalar("validation/auc", 100, 0.9245);
    writer.scalar("train/loss", 300, 7);  // beyond the step that the run resumes from
  }
  swallowtail::TensorBoardWriter resumed(folder, 200);
  resumed.scalar("train/loss", 201, 0.125);
  for (int step = 202; step < 1500; ++step) resumed.scalar("train/loss", step, 1.0 / step);
  resumed.scalar("überraschung", std::int64_t{1} << 40, -1e-30);
  resumed.scalar("validation/auc", 300, std::numeric_limits<double>::quiet_NaN());

  wanted +=
      line("train/loss", 0, 0.6931471805599453F) + line("train/loss", 100, 0.25F) + line("train/loss", 201, 0.125F);
  for (int step = 202; step < 1500; ++step) wanted += line("train/loss", step, static_cast<float>(1.0 / step));
  wanted += line("validation/auc", 100, 0.9245F) + "validation/auc\t300\tnan\n" +
            line("überraschung", std::int64_t{1} << 40, -1e-30F);

  const auto read = output_of(fmt::format("'{}' '{}' '{}'", argv[1], argv[2], folder));
  fs::remove_all(folder);
  if (read == wanted) {
    fmt::print("{} points read back\n", std::ranges::count(wanted, '\n'));
    return 0;
  }
  const auto [got, expected] = std::ranges::mismatch(read, wanted);
  fmt::print("differs at byte {}:\nread     {}\nexpected {}\n", got - read.begin(),
             std::string(got, read.end()).substr(0, 300), std::string(expected, wanted.end()).substr(0, 300));
  return 1;
}
