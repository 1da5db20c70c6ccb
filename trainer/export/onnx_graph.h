// An ONNX model, written node by node. ONNX files are Protocol Buffers messages; of that format only tags, varints and
// lengths are needed to write one. Large tensors go to a second file (external data), because a message ends at 2 GiB.
// Source: onnx.proto of ONNX 1.14 (IR version 8), operator set 17.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/files/durable_file.h"

namespace swallowtail {

/// A message of Protocol Buffers: fields in any order, each with its number.
class ProtoMessage {
 public:
  void integer(int field, std::int64_t value);    // varint
  void bytes(int field, std::string_view value);  // text, bytes, inner messages
  void message(int field, const ProtoMessage& inner) { bytes(field, inner.text_); }
  const std::string& text() const noexcept { return text_; }

 private:
  void varint(std::uint64_t value);
  std::string text_;
};

enum class OnnxType : int { float32 = 1, int64 = 7 };

class OnnxGraph {
 public:
  /// Writes `file` and, for large tensors, `file`.data beside it.
  explicit OnnxGraph(std::filesystem::path file);

  /// A dimension is a number or a name (one that differs from call to call).
  void input(const std::string& name, OnnxType type, const std::vector<std::string>& shape);
  void output(const std::string& name, OnnxType type, const std::vector<std::string>& shape);
  /// A constant; returns its name.
  std::string constant(const std::string& name, const std::vector<std::int64_t>& shape, std::span<const float> values);
  std::string constant(const std::string& name, const std::vector<std::int64_t>& shape,
                       std::span<const std::int64_t> values);
  /// A node with one output, whose name is returned.
  using Attributes = std::map<std::string, std::int64_t>;
  std::string node(const std::string& operation, const std::vector<std::string>& inputs, const std::string& output,
                   const Attributes& attributes = {});
  std::string transpose(const std::string& input, const std::vector<std::int64_t>& axes, const std::string& output);

  /// Writes the file. Returns {file name -> SHA-256}. Errors: resources.
  std::map<std::string, std::string> finish(const std::string& name,
                                            const std::map<std::string, std::string>& metadata);

 private:
  ProtoMessage value_info(const std::string& name, OnnxType type, const std::vector<std::string>& shape) const;
  std::string tensor(const std::string& name, OnnxType type, const std::vector<std::int64_t>& shape,
                     std::span<const std::byte> values);
  std::filesystem::path file_;
  std::unique_ptr<DurableFile> data_;  // made by the first large tensor
  std::int64_t data_bytes_ = 0;
  ProtoMessage graph_;
};

}  // namespace swallowtail
