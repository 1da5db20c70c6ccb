// parallel/nccl_communicator.h where device memory is host memory: the hosts' communicator moves the bytes. What NCCL
// would read is checked as the device's memory is, and what it will write cannot be read before its Pending is done.
#include "parallel/nccl_communicator.h"

#include <utility>

#include "tests/emulator/memory.h"

namespace swallowtail {

namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

void check_sent(ConstBytes bytes) { emulator::check_sent(bytes.data(), bytes.size()); }

/// Received bytes may be read once the call under it is done.
class EmulatedPending final : public Pending {
 public:
  EmulatedPending(std::unique_ptr<Pending> of, Bytes received) : of_(std::move(of)), received_(received) {}
  bool test() override { return of_->test() && mark(); }
  void wait() override {
    of_->wait();
    mark();
  }

 private:
  bool mark() {
    emulator::mark_received(received_.data(), received_.size());
    return true;
  }
  std::unique_ptr<Pending> of_;
  Bytes received_;
};

/// Of NCCL's calls those that training makes; the others are refused.
class EmulatedRanks final : public Communicator {
 public:
  explicit EmulatedRanks(Communicator& host) : host_(host) {}
  int rank() const noexcept override { return host_.rank(); }
  int world_size() const noexcept override { return host_.world_size(); }
  std::span<const int> node_of() const noexcept override { return host_.node_of(); }

  std::unique_ptr<Pending> start_all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    check_sent(send.bytes);
    emulator::expect_received(recv.bytes.data(), recv.bytes.size());
    return std::make_unique<EmulatedPending>(host_.start_all_to_all(tag, send, recv), recv.bytes);
  }
  std::unique_ptr<Pending> start_all_reduce_sum(const Tag& tag, std::span<float> values) override {
    const Bytes bytes = std::as_writable_bytes(values);
    check_sent(bytes);
    emulator::expect_received(bytes.data(), bytes.size());
    return std::make_unique<EmulatedPending>(host_.start_all_reduce_sum(tag, values), bytes);
  }

  void all_to_all(const Tag&, ConstChunks, Chunks) override { refuse(); }
  void all_reduce_sum(const Tag&, std::span<float>) override { refuse(); }
  void all_reduce_sum(const Tag&, std::span<double>) override { refuse(); }
  void all_reduce_sum(const Tag&, std::span<std::int64_t>) override { refuse(); }
  void all_reduce_max(const Tag&, std::span<std::int64_t>) override { refuse(); }
  void reduce_scatter_sum(const Tag&, std::span<const float>, std::span<const std::int64_t>,
                          std::span<float>) override {
    refuse();
  }
  void all_gather(const Tag&, ConstBytes, Chunks) override { refuse(); }
  void broadcast(const Tag&, int, Bytes) override { refuse(); }
  void barrier(const Tag&) override { refuse(); }
  std::uint32_t open_channel() noexcept override { return host_.open_channel(); }
  std::unique_ptr<Pending> start_messages(const Tag&, std::uint32_t, std::span<const Outgoing>,
                                          std::span<const Incoming>) override {
    refuse();
  }
  std::unique_ptr<Communicator> split(const Tag&, int) override { refuse(); }

 private:
  [[noreturn]] static void refuse() { throw emulator::Fault("the emulated ranks have no such call"); }
  Communicator& host_;
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host, NcclOptions) {
  return std::make_unique<EmulatedRanks>(host);
}

}  // namespace swallowtail
