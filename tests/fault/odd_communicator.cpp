#include "tests/fault/odd_communicator.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <utility>

#include "parallel/agreement.h"
#include "parallel/error.h"
#include "tests/fault/odd_allocator.h"

namespace swallowtail::fault {

namespace {

using std::chrono::milliseconds;

constexpr std::array<std::string_view, 11> kKinds{
    "die",          "stop",       "spin",         "throw_error",     "throw_unforeseen",
    "throw_memory", "other_step", "other_detail", "other_operation", "wish",
    "nan"};
constexpr std::array<std::string_view, 4> kWhens{"before", "inside", "between", "after"};

// The odd rank falls while it waits in the call: after it has come, before the others do.
constexpr milliseconds kFallsAfter{300}, kOthersComeAfter{600};

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

[[noreturn]] void spin() {
  std::atomic<std::uint64_t> turns{0};  // an endless loop without effect would be undefined
  for (;;) ++turns;
}

/// The fault of this run as this rank sees it, shared by the communicators that are split off.
class FaultyRank {
 public:
  FaultyRank(int rank, std::optional<Fault> fault) : rank_(rank), fault_(std::move(fault)) {}

  /// Where a call with this tag is to go wrong; empty on all but the odd rank, and for all but one call.
  std::optional<When> when(const Tag& tag) {
    if (!fault_ || tag.step != fault_->step || tag.operation != fault_->operation) return std::nullopt;
    if (++occurrences_ != fault_->occurrence) return std::nullopt;
    if (rank_ == fault_->rank) return fault_->when;
    if (fault_->when == When::inside) std::this_thread::sleep_for(kOthersComeAfter);
    return std::nullopt;
  }

  /// Says so and falls. Comes back where the fault is the tag.
  void fall(const Tag& tag) const {
    say(fmt::format("rank {} injects {} {} {}", rank_, kKinds[static_cast<std::size_t>(fault_->kind)],
                    kWhens[static_cast<std::size_t>(fault_->when)], call_name(tag.operation, tag.step)));
    switch (fault_->kind) {
      case Kind::die:
        kill(getpid(), SIGKILL);
        break;
      case Kind::stop:
        kill(getpid(), SIGSTOP);
        break;
      case Kind::spin:
        spin();
      case Kind::wish:
        kill(getpid(), SIGUSR1);
        break;
      case Kind::throw_error:
        throw Error{ExitCode::data, "label '?' is neither 0 nor 1", "train.csv:1732:15", "correct the row"};
      case Kind::throw_unforeseen:
        throw std::runtime_error("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)");
      case Kind::throw_memory:
        throw std::bad_alloc();
      case Kind::other_step:
      case Kind::other_detail:
      case Kind::other_operation:
      case Kind::nan:
        break;
    }
  }

  bool is_poisoner() const { return fault_ && fault_->kind == Kind::nan; }

  void fall_soon(const Tag& tag) const {
    std::thread([fault = *this, tag] {
      std::this_thread::sleep_for(kFallsAfter);
      fault.fall(tag);
    }).detach();
  }

  Tag odd_tag(Tag tag) const {
    if (fault_->kind == Kind::other_step) ++tag.step;
    if (fault_->kind == Kind::other_detail) ++tag.detail;
    if (fault_->kind == Kind::other_operation) tag.operation = "odd operation";
    return tag;
  }

 private:
  int rank_;
  std::optional<Fault> fault_;
  int occurrences_ = 0;
};

/// The sender's own memory, which a call promises not to change and a fault does.
void poison(std::span<const std::byte> bytes) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (std::size_t at = 0; at + sizeof(kNan) <= bytes.size(); at += sizeof(kNan))
    std::memcpy(const_cast<std::byte*>(bytes.data()) + at, &kNan, sizeof(kNan));
}

/// A call under way on the odd rank.
class OddPending final : public Pending {
 public:
  OddPending(std::unique_ptr<Pending> real, std::shared_ptr<FaultyRank> fault, const Tag& tag, When when)
      : real_(std::move(real)), fault_(std::move(fault)), tag_(tag), when_(when) {}
  bool test() override { return real_->test(); }
  void wait() override {
    if (when_ == When::between) fault_->fall(tag_);
    real_->wait();
    if (when_ == When::after) trap_next_allocation([fault = fault_, tag = tag_] { fault->fall(tag); });
  }

 private:
  std::unique_ptr<Pending> real_;
  std::shared_ptr<FaultyRank> fault_;
  Tag tag_;
  When when_;
};

class OddCommunicator final : public Communicator {
 public:
  OddCommunicator(std::unique_ptr<Communicator> real, std::shared_ptr<FaultyRank> fault)
      : real_(std::move(real)), fault_(std::move(fault)) {}

  int rank() const noexcept override { return real_->rank(); }
  int world_size() const noexcept override { return real_->world_size(); }
  std::span<const int> node_of() const noexcept override { return real_->node_of(); }
  std::uint32_t open_channel() noexcept override { return real_->open_channel(); }

  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    call(
        tag, [&](const Tag& odd) { real_->all_to_all(odd, send, recv); }, [&] { poison(send.bytes); });
  }
  void all_reduce_sum(const Tag& tag, std::span<float> values) override {
    call(
        tag, [&](const Tag& odd) { real_->all_reduce_sum(odd, values); }, [&] { poison(std::as_bytes(values)); });
  }
  void all_reduce_sum(const Tag& tag, std::span<double> values) override {
    call(tag, [&](const Tag& odd) { real_->all_reduce_sum(odd, values); });
  }
  void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) override {
    call(tag, [&](const Tag& odd) { real_->all_reduce_sum(odd, values); });
  }
  void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) override {
    call(tag, [&](const Tag& odd) { real_->all_reduce_max(odd, values); });
  }
  void reduce_scatter_sum(const Tag& tag, std::span<const float> values, std::span<const std::int64_t> offsets,
                          std::span<float> out) override {
    call(tag, [&](const Tag& odd) { real_->reduce_scatter_sum(odd, values, offsets, out); });
  }
  void all_gather(const Tag& tag, std::span<const std::byte> send, Chunks recv) override {
    call(tag, [&](const Tag& odd) { real_->all_gather(odd, send, recv); });
  }
  void broadcast(const Tag& tag, int root, std::span<std::byte> bytes) override {
    call(tag, [&](const Tag& odd) { real_->broadcast(odd, root, bytes); });
  }
  void barrier(const Tag& tag) override {
    call(tag, [&](const Tag& odd) { real_->barrier(odd); });
  }

  std::unique_ptr<Pending> start_messages(const Tag& tag, std::uint32_t channel, std::span<const Outgoing> outgoing,
                                          std::span<const Incoming> incoming) override {
    return start(
        tag, [&](const Tag& odd) { return real_->start_messages(odd, channel, outgoing, incoming); },
        [&] {
          for (const Outgoing& message : outgoing) poison(message.bytes);
        });
  }
  std::unique_ptr<Pending> start_all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    return start(
        tag, [&](const Tag& odd) { return real_->start_all_to_all(odd, send, recv); }, [&] { poison(send.bytes); });
  }
  std::unique_ptr<Pending> start_all_reduce_sum(const Tag& tag, std::span<float> values) override {
    return start(
        tag, [&](const Tag& odd) { return real_->start_all_reduce_sum(odd, values); },
        [&] { poison(std::as_bytes(values)); });
  }
  std::unique_ptr<Communicator> split(const Tag& tag, int color) override {
    return std::make_unique<OddCommunicator>(real_->split(tag, color), fault_);
  }

 private:
  static void no_floats() { throw std::invalid_argument("SWALLOWTAIL_TEST_FAULT: this call sends no floats"); }

  /// Every call that waits goes through here. `real` gets the tag that this rank comes with; `poison_sent` makes the
  /// floats that it sends NaN.
  template <typename Real, typename Poison = void (*)()>
  void call(const Tag& tag, Real real, Poison poison_sent = no_floats) {
    const auto when = fault_->when(tag);
    if (!when) return real(tag);
    if (when == When::inside) fault_->fall_soon(tag);
    if (when == When::before || when == When::between) fault_->fall(tag);
    if (fault_->is_poisoner()) poison_sent();
    real(when == When::before ? fault_->odd_tag(tag) : tag);
    if (when == When::after) trap_next_allocation([fault = fault_, tag] { fault->fall(tag); });
  }

  /// Every call that returns at once.
  template <typename Real, typename Poison>
  std::unique_ptr<Pending> start(const Tag& tag, Real real, Poison poison_sent) {
    const auto when = fault_->when(tag);
    if (!when) return real(tag);
    if (when == When::inside) fault_->fall_soon(tag);
    if (when == When::before) fault_->fall(tag);
    if (fault_->is_poisoner()) poison_sent();
    return std::make_unique<OddPending>(real(when == When::before ? fault_->odd_tag(tag) : tag), fault_, tag, *when);
  }

  std::unique_ptr<Communicator> real_;
  std::shared_ptr<FaultyRank> fault_;
};

}  // namespace

std::optional<Fault> fault_from_environment() {
  const char* const text = std::getenv("SWALLOWTAIL_TEST_FAULT");
  if (text == nullptr) return std::nullopt;
  std::string_view rest = text;
  const auto next = [&] {
    const auto colon = rest.find(':');
    if (colon == std::string_view::npos) throw std::invalid_argument("SWALLOWTAIL_TEST_FAULT has too few parts");
    const auto word = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
    return std::string(word);
  };
  const auto place = [](const auto& names, const std::string& name) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) throw std::invalid_argument("SWALLOWTAIL_TEST_FAULT does not know " + name);
    return found - names.begin();
  };
  Fault fault{};
  fault.kind = static_cast<Kind>(place(kKinds, next()));
  fault.when = static_cast<When>(place(kWhens, next()));
  fault.rank = std::stoi(next());
  fault.step = std::stoll(next());
  fault.occurrence = std::stoi(next());
  fault.operation = rest;
  return fault;
}

std::unique_ptr<Communicator> make_odd_communicator(std::unique_ptr<Communicator> real, std::optional<Fault> fault) {
  say(fmt::format("rank {} is process {}", real->rank(), getpid()));
  const auto odd = std::make_shared<FaultyRank>(real->rank(), std::move(fault));
  return std::make_unique<OddCommunicator>(std::move(real), odd);
}

}  // namespace swallowtail::fault
