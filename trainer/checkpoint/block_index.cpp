#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <charconv>

#include "parallel/error.h"
#include "trainer/checkpoint/block_file.h"
#include "trainer/files/untrusted_json.h"

namespace swallowtail {

using nlohmann::json;

bool is_plain_name(std::string_view name) noexcept {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= 200 && name[0] != '.' && std::ranges::all_of(name, is_plain);
}

json to_json(const BlockIndex& index) {
  std::string checks;
  for (const std::uint32_t check : index.crc32c) checks += fmt::format("{:08x}", check);
  json file = {{"name", index.name},
               {"bytes", index.bytes},
               {"sha256", index.sha256},
               {"block_bytes", kBlockBytes},
               {"crc32c", checks}};
  if (index.compression == Compression::zstd) {
    file["compression"] = "zstd";
    file["content_bytes"] = index.content;
    file["stored_bytes"] = index.stored_bytes;
  }
  return file;
}

BlockIndex block_index_from_json(const json& file, const std::filesystem::path& where) {
  const auto damaged = [&](std::string fact) {
    return Error{ExitCode::damaged, std::move(fact), where.string(), "use an older checkpoint"};
  };
  BlockIndex index;
  index.name = file.at("name").get<std::string>();
  if (!is_plain_name(index.name)) throw damaged(fmt::format("the manifest leads outside its folder: '{}'", index.name));
  const auto bad = [&](std::string_view what) {
    return damaged(fmt::format("the manifest's {} of '{}' cannot be true", what, index.name));
  };
  const auto size = [&](const char* key) {
    const auto value = json_count(file.at(key));
    if (!value) throw bad(key);
    return *value;
  };
  index.bytes = size("bytes");
  index.content = index.bytes;
  if (size("block_bytes") != kBlockBytes) throw bad("block_bytes");
  index.sha256 = file.at("sha256").get<std::string>();
  if (file.contains("compression")) {
    if (file.at("compression") != "zstd") throw bad("compression");
    index.compression = Compression::zstd;
    index.content = size("content_bytes");
    const json& stored = file.at("stored_bytes");
    if (!stored.is_array() || static_cast<std::int64_t>(stored.size()) != index.blocks()) throw bad("stored_bytes");
    std::int64_t sum = 0;
    const auto largest = static_cast<std::int64_t>(ZSTD_compressBound(kBlockBytes));
    for (const json& one : stored) {
      index.stored_bytes.push_back(json_count(one).value_or(largest + 1));
      if (index.stored_bytes.back() > largest) throw bad("stored_bytes");
      sum += index.stored_bytes.back();
    }
    if (sum != index.bytes) throw bad("stored_bytes");
  }
  const auto& checks = file.at("crc32c").get_ref<const std::string&>();
  if (static_cast<std::int64_t>(checks.size()) != 8 * index.blocks()) throw bad("crc32c");
  for (std::size_t at = 0; at < checks.size(); at += 8) {
    std::uint32_t check = 0;
    const char* const end = checks.data() + at + 8;
    if (std::from_chars(checks.data() + at, end, check, 16).ptr != end) throw bad("crc32c");
    index.crc32c.push_back(check);
  }
  return index;
}

}  // namespace swallowtail
