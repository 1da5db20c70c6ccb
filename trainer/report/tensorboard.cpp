#include "trainer/report/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <bit>
#include <chrono>
#include <string>

#include "trainer/files/crc32c.h"

namespace swallowtail {
namespace {

double wall_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

template <typename Integer>
void append_little_endian(std::string& out, Integer value) {
  for (std::size_t byte = 0; byte < sizeof(Integer); ++byte) out += static_cast<char>(value >> (8 * byte) & 0xFFU);
}

/// The few parts of the protobuf wire format that an Event needs.
class Message {
 public:
  Message& integer(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 0);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& float64(int field, double value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 1);
    append_little_endian(bytes_, std::bit_cast<std::uint64_t>(value));
    return *this;
  }
  Message& bytes(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  Message& float32(int field, float value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 5);
    append_little_endian(bytes_, std::bit_cast<std::uint32_t>(value));
    return *this;
  }
  const std::string& text() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80U);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

/// A CRC of data that holds CRCs is weak, so TFRecord stores it rotated and shifted.
std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U; }

std::string record(const Message& event) {
  std::string out;
  append_little_endian(out, static_cast<std::uint64_t>(event.text().size()));
  append_little_endian(out, masked_crc(out));
  out += event.text();
  append_little_endian(out, masked_crc(event.text()));
  return out;
}

std::filesystem::path event_path(const std::filesystem::path& folder) {
  // Readers take the files of a folder in the order of their names: the time first, then a part that makes it unique.
  const auto stem =
      fmt::format("events.out.tfevents.{:010d}.swallowtail.{}", static_cast<std::int64_t>(wall_time_s()), ::getpid());
  std::error_code error;
  auto path = folder / fmt::format("{}.0", stem);
  for (int part = 1; std::filesystem::exists(path, error); ++part) path = folder / fmt::format("{}.{}", stem, part);
  return path;
}

}  // namespace

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder, std::optional<std::int64_t> resumed_from)
    : file_(event_path(folder)) {
  file_.append(record(Message().float64(1, wall_time_s()).bytes(3, "brain.Event:2")));
  if (resumed_from) {
    const auto session_start = Message().integer(1, 1);  // SessionLog.status = START: later steps are void
    file_.append(
        record(Message().float64(1, wall_time_s()).integer(2, *resumed_from + 1).bytes(7, session_start.text())));
  }
}

void TensorBoardWriter::scalar(std::string_view tag, std::int64_t step, double value) {
  const auto point = Message().bytes(1, tag).float32(2, static_cast<float>(value));
  const auto summary = Message().bytes(1, point.text());
  file_.append(record(Message().float64(1, wall_time_s()).integer(2, step).bytes(5, summary.text())));
}

}  // namespace swallowtail
