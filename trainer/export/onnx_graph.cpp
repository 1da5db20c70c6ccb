#include "trainer/export/onnx_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace swallowtail {

namespace {

constexpr std::int64_t kIrVersion = 8, kOperatorSet = 17;
constexpr std::size_t kInlineBytes = 1024;     // larger tensors go to the data file
constexpr std::int64_t kDataAlignment = 4096;  // so that runtimes may map them

// Field numbers of onnx.proto.
namespace model {
constexpr int ir_version = 1, producer = 2, graph = 7, operator_sets = 8, metadata = 14;
}
namespace graph {
constexpr int node = 1, name = 2, initializer = 5, input = 11, output = 12;
}
namespace node_fields {
constexpr int input = 1, output = 2, name = 3, operation = 4, attribute = 5;
}
namespace attribute {
constexpr int name = 1, integer = 3, integers = 8, type = 20;
constexpr std::int64_t is_integer = 2, is_integers = 7;
}  // namespace attribute
namespace tensor_fields {
constexpr int dims = 1, type = 2, name = 8, raw = 9, external = 13, location = 14;
constexpr std::int64_t is_external = 1;
}  // namespace tensor_fields
constexpr int kKey = 1, kValue = 2;  // of StringStringEntryProto; OperatorSetIdProto: domain, version

bool is_number(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

ProtoMessage entry(std::string_view key, std::string_view value) {
  ProtoMessage message;
  message.bytes(kKey, key);
  message.bytes(kValue, value);
  return message;
}

}  // namespace

void ProtoMessage::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
  text_ += static_cast<char>(value);
}

void ProtoMessage::integer(int field, std::int64_t value) {
  varint(static_cast<std::uint64_t>(field) << 3);
  varint(static_cast<std::uint64_t>(value));
}

void ProtoMessage::bytes(int field, std::string_view value) {
  varint(static_cast<std::uint64_t>(field) << 3 | 2);
  varint(value.size());
  text_ += value;
}

OnnxGraph::OnnxGraph(std::filesystem::path file) : file_(std::move(file)) {}

ProtoMessage OnnxGraph::value_info(const std::string& name, OnnxType type,
                                   const std::vector<std::string>& shape) const {
  ProtoMessage dimensions, tensor_type, type_message, info;
  for (const std::string& extent : shape) {
    ProtoMessage dimension;
    if (is_number(extent))
      dimension.integer(1, std::stoll(extent));
    else
      dimension.bytes(2, extent);
    dimensions.message(1, dimension);
  }
  tensor_type.integer(1, static_cast<int>(type));
  tensor_type.message(2, dimensions);
  type_message.message(1, tensor_type);
  info.bytes(1, name);
  info.message(2, type_message);
  return info;
}

void OnnxGraph::input(const std::string& name, OnnxType type, const std::vector<std::string>& shape) {
  graph_.message(graph::input, value_info(name, type, shape));
}

void OnnxGraph::output(const std::string& name, OnnxType type, const std::vector<std::string>& shape) {
  graph_.message(graph::output, value_info(name, type, shape));
}

std::string OnnxGraph::constant(const std::string& name, const std::vector<std::int64_t>& shape,
                                std::span<const float> values) {
  return tensor(name, OnnxType::float32, shape, std::as_bytes(values));
}

std::string OnnxGraph::constant(const std::string& name, const std::vector<std::int64_t>& shape,
                                std::span<const std::int64_t> values) {
  return tensor(name, OnnxType::int64, shape, std::as_bytes(values));
}

std::string OnnxGraph::tensor(const std::string& name, OnnxType type, const std::vector<std::int64_t>& shape,
                              std::span<const std::byte> values) {
  ProtoMessage message;
  for (const std::int64_t extent : shape) message.integer(tensor_fields::dims, extent);
  message.integer(tensor_fields::type, static_cast<int>(type));
  message.bytes(tensor_fields::name, name);
  if (values.size() <= kInlineBytes) {
    message.bytes(tensor_fields::raw, {reinterpret_cast<const char*>(values.data()), values.size()});
  } else {
    const std::string data_name = file_.filename().string() + ".data";
    if (!data_) data_ = std::make_unique<DurableFile>(file_.string() + ".data");
    static constexpr std::array<std::byte, kDataAlignment> kZeros{};
    const std::int64_t gap = (kDataAlignment - data_bytes_ % kDataAlignment) % kDataAlignment;
    data_->write(std::span(kZeros).first(static_cast<std::size_t>(gap)));
    data_bytes_ += gap;
    message.message(tensor_fields::external, entry("location", data_name));
    message.message(tensor_fields::external, entry("offset", fmt::format("{}", data_bytes_)));
    message.message(tensor_fields::external, entry("length", fmt::format("{}", values.size())));
    message.integer(tensor_fields::location, tensor_fields::is_external);
    data_->write(values);
    data_bytes_ += static_cast<std::int64_t>(values.size());
  }
  graph_.message(graph::initializer, message);
  return name;
}

std::string OnnxGraph::node(const std::string& operation, const std::vector<std::string>& inputs,
                            const std::string& output, const Attributes& attributes) {
  ProtoMessage message;
  for (const std::string& input : inputs) message.bytes(node_fields::input, input);
  message.bytes(node_fields::output, output);
  message.bytes(node_fields::name, output);
  message.bytes(node_fields::operation, operation);
  for (const auto& [name, value] : attributes) {
    ProtoMessage one;
    one.bytes(attribute::name, name);
    one.integer(attribute::integer, value);
    one.integer(attribute::type, attribute::is_integer);
    message.message(node_fields::attribute, one);
  }
  graph_.message(graph::node, message);
  return output;
}

std::string OnnxGraph::transpose(const std::string& input, const std::vector<std::int64_t>& axes,
                                 const std::string& output) {
  ProtoMessage message, order;
  message.bytes(node_fields::input, input);
  message.bytes(node_fields::output, output);
  message.bytes(node_fields::name, output);
  message.bytes(node_fields::operation, "Transpose");
  order.bytes(attribute::name, "perm");
  for (const std::int64_t axis : axes) order.integer(attribute::integers, axis);
  order.integer(attribute::type, attribute::is_integers);
  message.message(node_fields::attribute, order);
  graph_.message(graph::node, message);
  return output;
}

std::map<std::string, std::string> OnnxGraph::finish(const std::string& name,
                                                     const std::map<std::string, std::string>& metadata) {
  std::map<std::string, std::string> digests;
  if (data_) digests[file_.filename().string() + ".data"] = data_->commit();
  graph_.bytes(graph::name, name);
  ProtoMessage all, operators;
  all.integer(model::ir_version, kIrVersion);
  all.bytes(model::producer, "swallowtail");
  all.message(model::graph, graph_);
  operators.bytes(kKey, "");
  operators.integer(kValue, kOperatorSet);
  all.message(model::operator_sets, operators);
  for (const auto& [key, value] : metadata) all.message(model::metadata, entry(key, value));
  DurableFile file(file_);
  file.write(all.text());
  digests[file_.filename().string()] = file.commit();
  return digests;
}

}  // namespace swallowtail
