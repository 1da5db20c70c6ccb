#include "trainer/checkpoint/safetensors.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "parallel/error.h"
#include "trainer/files/durable_file.h"
#include "trainer/files/file_descriptor.h"

namespace swallowtail {

using nlohmann::json;

namespace {

static_assert(std::endian::native == std::endian::little,
              "the format is little-endian and tensors are written as they lie");
constexpr std::uint64_t kLargestHeader = std::uint64_t{100} << 20;  // the format's own limit

void read_all(const FileDescriptor& file, const std::filesystem::path& path, std::uint64_t from,
              std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = ::pread(file.number(), out.data(), out.size(), static_cast<off_t>(from));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_file_error("read", path, errno);
    if (got == 0) throw Error{ExitCode::damaged, "the file ends early", path.string(), "use an older checkpoint"};
    from += static_cast<std::uint64_t>(got);
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

Error damaged(const std::filesystem::path& path, std::string fact) {
  return Error{ExitCode::damaged, std::move(fact), path.string(), "use an older checkpoint"};
}

}  // namespace

std::string write_safetensors(const std::filesystem::path& path, std::span<const TensorRef> tensors) {
  json header = json::object();
  std::uint64_t offset = 0;
  for (const TensorRef& tensor : tensors) {
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // tensors begin on 8 bytes
  const std::uint64_t length = text.size();

  DurableFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  for (const TensorRef& tensor : tensors) file.write(tensor.bytes);
  return file.commit();
}

SafetensorsReader::SafetensorsReader(std::filesystem::path path) : path_(std::move(path)) {
  const FileDescriptor file = open_file(path_, O_RDONLY);
  const std::uint64_t size = std::filesystem::file_size(path_);
  std::uint64_t length = 0;
  if (size < sizeof(length)) throw damaged(path_, "the file is shorter than its header");
  read_all(file, path_, 0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > size - sizeof(length) || length > kLargestHeader)
    throw damaged(path_, fmt::format("the header claims {} bytes of a file of {}", length, size));
  std::string text(length, '\0');
  read_all(file, path_, sizeof(length), std::as_writable_bytes(std::span(text)));
  const std::uint64_t data = sizeof(length) + length;
  const json header = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) throw damaged(path_, "the header is no JSON object");
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    const json offsets = entry.is_object() ? entry.value("data_offsets", json()) : json();
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned())
      throw damaged(path_, fmt::format("tensor '{}' has no data_offsets", name));
    const auto begin = offsets[0].get<std::uint64_t>(), end = offsets[1].get<std::uint64_t>();
    if (begin > end || end > size - data) throw damaged(path_, fmt::format("tensor '{}' lies outside the file", name));
    tensors_[name] = {data + begin, data + end};
  }
}

void SafetensorsReader::read(const std::string& name, std::span<std::byte> out) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) throw damaged(path_, fmt::format("there is no tensor '{}'", name));
  const auto [begin, end] = found->second;
  if (end - begin != out.size())
    throw damaged(path_,
                  fmt::format("tensor '{}' has {} bytes where the experiment needs {}", name, end - begin, out.size()));
  read_all(open_file(path_, O_RDONLY), path_, begin, out);
}

}  // namespace swallowtail
