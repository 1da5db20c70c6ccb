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

constexpr std::array<std::string_view, 9> kKinds{
    "die",          "stop",       "spin",         "throw_error",    "throw_unforeseen",
    "throw_memory", "other_step", "other_detail", "other_operation"};
constexpr std::array<std::string_view, 3> kWhens{"before", "inside", "after"};

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

class OddCommunicator final : public Communicator {
 public:
  OddCommunicator(std::unique_ptr<Communicator> real, std::optional<Fault> fault)
      : real_(std::move(real)), fault_(std::move(fault)) {}

  int rank() const noexcept override { return real_->rank(); }
  int world_size() const noexcept override { return real_->world_size(); }
  int node_local_ranks() const noexcept override { return real_->node_local_ranks(); }

  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    call(tag, [&](const Tag& odd) { real_->all_to_all(odd, send, recv); });
  }
  void exchange(const Tag& tag, int to, std::span<const std::byte> send, int from, std::span<std::byte> recv) override {
    call(tag, [&](const Tag& odd) { real_->exchange(odd, to, send, from, recv); });
  }
  void all_reduce_sum(const Tag& tag, std::span<float> values) override {
    call(tag, [&](const Tag& odd) { real_->all_reduce_sum(odd, values); });
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
  void all_gather(const Tag& tag, std::span<const std::byte> send, Chunks recv) override {
    call(tag, [&](const Tag& odd) { real_->all_gather(odd, send, recv); });
  }
  void broadcast(const Tag& tag, int root, std::span<std::byte> bytes) override {
    call(tag, [&](const Tag& odd) { real_->broadcast(odd, root, bytes); });
  }
  void barrier(const Tag& tag) override {
    call(tag, [&](const Tag& odd) { real_->barrier(odd); });
  }

 private:
  /// Every call goes through here. `real` gets the tag that this rank comes with.
  template <typename Real>
  void call(const Tag& tag, Real real) {
    const bool is_here = fault_ && tag.step == fault_->step && tag.operation == fault_->operation &&
                         ++occurrences_ == fault_->occurrence;
    if (!is_here) return real(tag);
    if (rank() != fault_->rank) {
      if (fault_->when == When::inside) std::this_thread::sleep_for(kOthersComeAfter);
      return real(tag);
    }
    const auto now = [fault = *fault_, tag] {
      say(fmt::format("rank {} injects {} {} {}", fault.rank, kKinds[static_cast<std::size_t>(fault.kind)],
                      kWhens[static_cast<std::size_t>(fault.when)], call_name(tag.operation, tag.step)));
      fall(fault.kind);
    };
    switch (fault_->when) {
      case When::before:
        now();
        return real(odd_tag(tag));
      case When::inside:
        std::thread([now] {
          std::this_thread::sleep_for(kFallsAfter);
          now();
        }).detach();
        return real(tag);
      case When::after:
        real(tag);
        return trap_next_allocation(now);
    }
  }

  /// Comes back where the fault is the tag.
  static void fall(Kind kind) {
    switch (kind) {
      case Kind::die:
        kill(getpid(), SIGKILL);
        break;
      case Kind::stop:
        kill(getpid(), SIGSTOP);
        break;
      case Kind::spin:
        spin();
      case Kind::throw_error:
        throw Error{ExitCode::data, "label '?' is neither 0 nor 1", "train.csv:1732:15", "correct the row"};
      case Kind::throw_unforeseen:
        throw std::runtime_error("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)");
      case Kind::throw_memory:
        throw std::bad_alloc();
      case Kind::other_step:
      case Kind::other_detail:
      case Kind::other_operation:
        break;
    }
  }

  Tag odd_tag(Tag tag) const {
    if (fault_->kind == Kind::other_step) ++tag.step;
    if (fault_->kind == Kind::other_detail) ++tag.detail;
    if (fault_->kind == Kind::other_operation) tag.operation = "odd operation";
    return tag;
  }

  std::unique_ptr<Communicator> real_;
  std::optional<Fault> fault_;
  int occurrences_ = 0;
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
  return std::make_unique<OddCommunicator>(std::move(real), std::move(fault));
}

}  // namespace swallowtail::fault
