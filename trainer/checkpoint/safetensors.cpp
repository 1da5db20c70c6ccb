#include "trainer/checkpoint/safetensors.h"

#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>

namespace swallowtail {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian and tensors are written as they lie");

std::int64_t dtype_bytes(std::string_view dtype) noexcept { return dtype == "F32" ? 4 : dtype == "I64" ? 8 : 0; }

std::int64_t TensorShape::bytes() const noexcept {
  std::int64_t count = dtype_bytes(dtype);
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

std::string safetensors_header(std::span<const TensorShape> tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::int64_t offset = 0;
  for (const TensorShape& tensor : tensors) {
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes()}}};
    offset += tensor.bytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t length = text.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file + text;
}

}  // namespace swallowtail
