#include "tests/fault/odd_communicator.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

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
#include <vector>

#include "parallel/agreement.h"
#include "parallel/error.h"

namespace swallowtail::fault {

namespace {

using std::chrono::milliseconds;

constexpr std::array<std::pair<std::string_view, Kind>, 11> kKinds{{{"die", Kind::die},
                                                                    {"stop", Kind::stop},
                                                                    {"die_inside", Kind::die_inside},
                                                                    {"stop_inside", Kind::stop_inside},
                                                                    {"spin", Kind::spin},
                                                                    {"throw_error", Kind::throw_error},
                                                                    {"throw_unforeseen", Kind::throw_unforeseen},
                                                                    {"throw_memory", Kind::throw_memory},
                                                                    {"other_step", Kind::other_step},
                                                                    {"other_detail", Kind::other_detail},
                                                                    {"other_operation", Kind::other_operation}}};

// The odd rank falls while it waits in the call: after it has come, before the others do.
constexpr milliseconds kFallsAfter{300}, kOthersComeAfter{600};

std::string_view name_of(Kind kind) {
  for (const auto& [name, known] : kKinds)
    if (known == kind) return name;
  return "";
}

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

  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override { real_->all_to_all(come(tag), send, recv); }
  void exchange(const Tag& tag, int to, std::span<const std::byte> send, int from, std::span<std::byte> recv) override {
    real_->exchange(come(tag), to, send, from, recv);
  }
  void all_reduce_sum(const Tag& tag, std::span<float> values) override { real_->all_reduce_sum(come(tag), values); }
  void all_reduce_sum(const Tag& tag, std::span<double> values) override { real_->all_reduce_sum(come(tag), values); }
  void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) override {
    real_->all_reduce_sum(come(tag), values);
  }
  void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) override {
    real_->all_reduce_max(come(tag), values);
  }
  void all_gather(const Tag& tag, std::span<const std::byte> send, Chunks recv) override {
    real_->all_gather(come(tag), send, recv);
  }
  void broadcast(const Tag& tag, int root, std::span<std::byte> bytes) override {
    real_->broadcast(come(tag), root, bytes);
  }
  void barrier(const Tag& tag) override { real_->barrier(come(tag)); }

 private:
  /// Every call goes through here; the tag is what this rank comes with.
  Tag come(const Tag& tag) {
    if (!fault_ || tag.step != fault_->step || tag.operation != fault_->operation) return tag;
    if (++occurrences_ != fault_->occurrence) return tag;
    const bool inside = fault_->kind == Kind::die_inside || fault_->kind == Kind::stop_inside;
    if (rank() == fault_->rank) return inject(tag);
    if (inside) std::this_thread::sleep_for(kOthersComeAfter);
    return tag;
  }

  Tag inject(const Tag& tag) {
    const Kind kind = fault_->kind;
    say(fmt::format("rank {} injects {} at {}", rank(), name_of(kind), call_name(tag.operation, tag.step)));
    switch (kind) {
      case Kind::die:
        kill(getpid(), SIGKILL);
        break;
      case Kind::stop:
        kill(getpid(), SIGSTOP);
        break;
      case Kind::die_inside:
      case Kind::stop_inside:
        std::thread([kind] {
          std::this_thread::sleep_for(kFallsAfter);
          kill(getpid(), kind == Kind::die_inside ? SIGKILL : SIGSTOP);
        }).detach();
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
        return {tag.operation, tag.step + 1, tag.detail};
      case Kind::other_detail:
        return {tag.operation, tag.step, tag.detail + 1};
      case Kind::other_operation:
        return {"odd operation", tag.step, tag.detail};
    }
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
  std::vector<std::string> words;
  std::string_view rest = text;
  for (int i = 0; i < 4; ++i) {
    const auto colon = rest.find(':');
    if (colon == std::string_view::npos) throw std::invalid_argument("SWALLOWTAIL_TEST_FAULT has too few parts");
    words.emplace_back(rest.substr(0, colon));
    rest.remove_prefix(colon + 1);
  }
  for (const auto& [name, kind] : kKinds)
    if (name == words[0])
      return Fault{kind, std::stoi(words[1]), std::string(rest), std::stoll(words[2]), std::stoi(words[3])};
  throw std::invalid_argument("SWALLOWTAIL_TEST_FAULT names an unknown kind: " + words[0]);
}

std::unique_ptr<Communicator> make_odd_communicator(std::unique_ptr<Communicator> real, std::optional<Fault> fault) {
  say(fmt::format("rank {} is process {}", real->rank(), getpid()));
  return std::make_unique<OddCommunicator>(std::move(real), std::move(fault));
}

}  // namespace swallowtail::fault
