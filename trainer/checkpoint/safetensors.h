// The safetensors file format: 8 bytes little-endian header length, a JSON header {name: {dtype, shape, data_offsets}},
// the tensors' bytes in the order of the header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace swallowtail {

struct TensorShape {
  std::string name;
  std::string dtype;  // "F32", "I64"
  std::vector<std::int64_t> shape;
  std::int64_t bytes() const noexcept;  // elements times their size
};

/// Bytes of one element of a dtype that we write; 0 for any other.
std::int64_t dtype_bytes(std::string_view dtype) noexcept;

/// Length and header of a file that holds these tensors one after another, padded so that the first begins on 8 bytes.
std::string safetensors_header(std::span<const TensorShape> tensors);

}  // namespace swallowtail
