// The bytes of an event file, by the published formats; golden.tensorboard reads one with the real package.
#include "trainer/report/tensorboard.h"

#include <gtest/gtest.h>

#include <cstring>

#include "parallel/error.h"
#include "tests/unit/report/full_disk.h"
#include "tests/unit/report/temporary_folder.h"
#include "trainer/files/crc32c.h"

namespace swallowtail {
namespace {

std::uint64_t little_endian(const std::string& bytes, std::size_t at, int size) {
  std::uint64_t value = 0;
  for (int byte = size; byte-- > 0;)
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + static_cast<std::size_t>(byte)]);
  return value;
}

std::uint32_t masked(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

TEST(TensorBoard, RecordsAreFramedAndChecked) {
  TemporaryFolder folder;
  TensorBoardWriter writer(folder.path());
  writer.scalar("loss", 300, 0.5);
  const auto bytes = read_text(writer.path());
  std::vector<std::string> events;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto size = little_endian(bytes, at, 8);
    EXPECT_EQ(little_endian(bytes, at + 8, 4), masked(bytes.substr(at, 8)));
    events.push_back(bytes.substr(at + 12, size));
    EXPECT_EQ(little_endian(bytes, at + 12 + size, 4), masked(events.back()));
    at += 16 + size;
  }
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].substr(9),
            "\x1a\x0d"
            "brain.Event:2");       // after wall_time: field 3, 13 bytes
  EXPECT_EQ(events[0][0], '\x09');  // field 1, 64 bits
  // step: field 2, varint 300; summary: field 5 of 13 bytes; value: field 1 of 11; tag: field 1 of 4; simple_value:
  // 0.5f
  EXPECT_EQ(events[1].substr(9), std::string("\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04"
                                             "loss\x15\x00\x00\x00\x3f",
                                             18));
}

TEST(TensorBoard, EveryWriterHasItsOwnFile) {
  TemporaryFolder folder;
  TensorBoardWriter first(folder.path()), second(folder.path());
  EXPECT_NE(first.path(), second.path());
  for (const auto* writer : {&first, &second})
    EXPECT_EQ(writer->path().filename().string().find("events.out.tfevents."), 0U);
}

TEST(TensorBoard, AFullDiskLeavesNoHalfRecord) {
  TemporaryFolder folder;
  TensorBoardWriter writer(folder.path());
  const auto before = read_text(writer.path());
  {
    FullDisk full(before.size() + 5);
    EXPECT_THROW(writer.scalar("loss", 1, 0.5), Error);
  }
  EXPECT_EQ(read_text(writer.path()), before);
  writer.scalar("loss", 1, 0.5);
  EXPECT_GT(read_text(writer.path()).size(), before.size());
}

}  // namespace
}  // namespace swallowtail
