#include "parallel/communicator.h"

#include <algorithm>
#include <unordered_map>

namespace swallowtail {

namespace {

constexpr std::uint32_t kExchangeChannel = 0;  // open_channel() begins at 1

}  // namespace

int Communicator::node_local_ranks() const noexcept {
  const auto nodes = node_of();
  return static_cast<int>(std::ranges::count(nodes, nodes[static_cast<std::size_t>(rank())]));
}

void Communicator::exchange(const Tag& tag, int to, std::span<const std::byte> send, int from,
                            std::span<std::byte> recv) {
  const Outgoing outgoing{to, send};
  const Incoming incoming{from, recv};
  start_messages(tag, kExchangeChannel, {&outgoing, 1}, {&incoming, 1})->wait();
}

std::vector<int> numbered_in_order(std::span<const int> labels) {
  std::unordered_map<int, int> numbers;
  std::vector<int> found;
  for (const int label : labels)
    found.push_back(numbers.try_emplace(label, static_cast<int>(numbers.size())).first->second);
  return found;
}

std::vector<std::int64_t> byte_offsets(std::span<const std::int64_t> counts, std::int64_t element_bytes) {
  std::vector<std::int64_t> offsets(counts.size() + 1, 0);
  for (std::size_t i = 0; i < counts.size(); ++i) offsets[i + 1] = offsets[i] + counts[i] * element_bytes;
  return offsets;
}

}  // namespace swallowtail
