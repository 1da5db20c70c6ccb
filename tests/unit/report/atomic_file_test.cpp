#include "trainer/report/atomic_file.h"

#include <gtest/gtest.h>

#include "parallel/error.h"
#include "tests/unit/report/full_disk.h"
#include "tests/unit/report/temporary_folder.h"

namespace swallowtail {
namespace {

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(WriteAtomically, ReplacesTheWholeFile) {
  TemporaryFolder folder;
  write_atomically(folder / "a", std::string("long text with a \0 inside", 25));
  EXPECT_EQ(read_text(folder / "a"), std::string("long text with a \0 inside", 25));
  write_atomically(folder / "a", "");
  EXPECT_EQ(read_text(folder / "a"), "");
  EXPECT_EQ(files_in(folder.path()), 1U);
}

TEST(WriteAtomically, KeepsTheOldFileWhenTheDiskIsFull) {
  TemporaryFolder folder;
  write_atomically(folder / "a", "old");
  {
    FullDisk full(1000);
    try {
      write_atomically(folder / "a", std::string(5000, 'x'));
      ADD_FAILURE() << "wrote past the limit";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::resources);
      EXPECT_NE(error.fact().find("File too large"), std::string::npos) << error.message();
    }
  }
  EXPECT_EQ(read_text(folder / "a"), "old");
  EXPECT_EQ(files_in(folder.path()), 1U);  // the bytes are given back
}

TEST(WriteAtomically, AnUnwritablePlaceIsAResourceError) {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "taken");
  write_text(folder / "file", "x");
  for (const auto& path : {folder / "missing/a", folder / "taken", folder / "file/a"}) try {
      write_atomically(path, "text");
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::resources) << error.message();
      EXPECT_NE(error.where().find(path.string()), std::string::npos) << error.message();
    }
}

}  // namespace
}  // namespace swallowtail
