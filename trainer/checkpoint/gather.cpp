#include "trainer/checkpoint/gather.h"

#include <string>

namespace swallowtail {

using nlohmann::json;

std::vector<json> gather_json(const json& mine, const Tag& tag, Communicator& ranks) {
  const std::string text = mine.dump(-1, ' ', false, json::error_handler_t::replace);
  const int world_size = ranks.world_size();
  std::vector<std::int64_t> sizes(world_size, 0);
  sizes[ranks.rank()] = static_cast<std::int64_t>(text.size());
  ranks.all_reduce_sum(tag, std::span(sizes));
  const auto offsets = byte_offsets(sizes, 1);
  std::string all(static_cast<std::size_t>(offsets.back()), '\0');
  ranks.all_gather(tag, std::as_bytes(std::span(text)), {std::as_writable_bytes(std::span(all)), offsets});
  std::vector<json> values;
  for (int rank = 0; rank < world_size; ++rank)
    values.push_back(json::parse(all.begin() + offsets[rank], all.begin() + offsets[rank + 1]));
  return values;
}

json error_to_json(const Error& error) {
  return {{"code", static_cast<int>(error.code())},
          {"fact", error.fact()},
          {"where", error.where()},
          {"advice", error.advice()}};
}

Error error_from_json(const json& saved) {
  return {static_cast<ExitCode>(saved.at("code").get<int>()), saved.at("fact").get<std::string>(),
          saved.at("where").get<std::string>(), saved.at("advice").get<std::string>()};
}

}  // namespace swallowtail
