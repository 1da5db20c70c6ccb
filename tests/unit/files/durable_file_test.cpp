#include "trainer/files/durable_file.h"

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

TEST(DurableFile, DigestsWhatItWroteWhateverThePieces) {
  TemporaryFolder folder;
  std::string text;
  for (std::int64_t i = 0; i < 300000; ++i) text += std::to_string(i * 7919);  // about 3 MB
  for (const std::size_t piece : {std::size_t{1} << 10, (std::size_t{1} << 20) + 1, text.size()}) {
    DurableFile file(folder / "a");
    for (std::size_t at = 0; at < text.size(); at += piece) file.write(std::string_view(text).substr(at, piece));
    EXPECT_FALSE(std::filesystem::exists(folder / "a")) << "nothing stands there before commit";
    EXPECT_EQ(file.commit(), sha256(text));
    EXPECT_EQ(file.size(), static_cast<std::int64_t>(text.size()));
    EXPECT_EQ(read_text(folder / "a"), text);
    EXPECT_EQ(sha256_of_file(folder / "a"), sha256(text));
    std::filesystem::remove(folder / "a");
  }
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-4
}

TEST(DurableFile, LeavesNothingWithoutCommit) {
  TemporaryFolder folder;
  { DurableFile(folder / "a").write("half"); }
  EXPECT_EQ(files_in(folder.path()), 0U);
}

}  // namespace
}  // namespace swallowtail
