#include "trainer/embedding/exchange.h"

#include <chrono>

#include "parallel/all_to_all/all_to_all.h"

namespace swallowtail {

void Exchange::run(const char* operation, std::span<const std::byte> send, std::span<const std::int64_t> send_bytes,
                   std::span<std::byte> recv, std::span<const std::int64_t> recv_bytes) {
  const auto send_offsets = byte_offsets(send_bytes, 1), recv_offsets = byte_offsets(recv_bytes, 1);
  const auto start = std::chrono::steady_clock::now();
  all_to_all(algorithm_, ranks_, Tag{operation, step_, layout_}, {send, send_offsets}, {recv, recv_offsets});
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  bytes_sent_ += static_cast<std::int64_t>(send.size()) - send_bytes[static_cast<std::size_t>(ranks_.rank())];
}

}  // namespace swallowtail
