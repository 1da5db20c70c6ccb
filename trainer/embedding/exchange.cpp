#include "trainer/embedding/exchange.h"

#include <algorithm>
#include <chrono>

namespace swallowtail {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class Done final : public Pending {
 public:
  bool test() override { return true; }
  void wait() override {}
};

}  // namespace

void Traffic::clear(int ranks) {
  send_bytes.assign(static_cast<std::size_t>(ranks), 0);
  recv_bytes.assign(static_cast<std::size_t>(ranks), 0);
}

void Traffic::reserve() {
  send_offsets = byte_offsets(send_bytes, 1);
  recv_offsets = byte_offsets(recv_bytes, 1);
  send.resize(static_cast<std::size_t>(send_offsets.back()));
  recv.resize(static_cast<std::size_t>(recv_offsets.back()));
}

std::unique_ptr<Pending> Exchange::start(const char* operation, std::int64_t step, Traffic& traffic) {
  if (world_size() == 1) {
    std::ranges::copy(traffic.send, traffic.recv.begin());
    return std::make_unique<Done>();
  }
  const Tag tag{operation, step, layout_};
  const ConstChunks send{traffic.send, traffic.send_offsets};
  const Chunks recv{traffic.recv, traffic.recv_offsets};
  bytes_sent_ += std::ssize(traffic.send) - traffic.send_bytes[static_cast<std::size_t>(rank())];
  const auto begin = Clock::now();
  std::unique_ptr<Pending> pending;
  if (overlap_) {
    pending = all_to_all_.start(tag, send, recv, traffic.expected_a_peer);
  } else {
    all_to_all_.run(tag, send, recv, traffic.expected_a_peer);
    pending = std::make_unique<Done>();
  }
  exposed_seconds_ += seconds_since(begin);
  return pending;
}

void Exchange::wait(Pending& pending) {
  const auto begin = Clock::now();
  pending.wait();
  exposed_seconds_ += seconds_since(begin);
}

}  // namespace swallowtail
