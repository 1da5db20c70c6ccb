// The safetensors file format: 8 bytes little-endian header length, a JSON header {name: {dtype, shape, data_offsets}},
// the tensors' bytes. Written in one pass; read with every length checked against the file's size before it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace swallowtail {

/// A tensor to write, borrowed. dtype: "F32", "I64".
struct TensorRef {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// Writes and syncs `path`; returns the SHA-256 of the file, hex. Errors: resources, with the path.
std::string write_safetensors(const std::filesystem::path& path, std::span<const TensorRef> tensors);

class SafetensorsReader {
 public:
  /// Errors: damaged, naming the file and what is wrong with its header.
  explicit SafetensorsReader(std::filesystem::path path);
  bool has(const std::string& name) const { return tensors_.contains(name); }
  /// Errors: damaged where the name is missing or its bytes are not out.size().
  void read(const std::string& name, std::span<std::byte> out) const;

 private:
  struct Place {
    std::uint64_t begin, end;  // within the file
  };
  std::filesystem::path path_;
  std::map<std::string, Place> tensors_;
};

}  // namespace swallowtail
