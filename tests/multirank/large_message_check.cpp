// Run by mpirun on two ranks: counts beyond 2^31 bytes, as one message and as one chunk of an all_to_all, really moved.
// Needs 9 GiB in all. Exit code 1 where a byte is wrong, 77 where there is not the memory for it.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "kernels/random.h"
#include "parallel/mpi_communicator.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kBytes = (std::int64_t{1} << 31) + 8 * 1024 * 1024 + 8;
constexpr std::int64_t kNeeded = std::int64_t{9} << 30;

/// What the machine has left, or the container, whichever is less.
std::int64_t available_bytes() {
  auto least = std::numeric_limits<std::int64_t>::max();
  std::ifstream machine("/proc/meminfo");
  for (std::string line; std::getline(machine, line);)
    if (line.starts_with("MemAvailable:")) least = std::stoll(line.substr(13)) * 1024;
  std::ifstream limit("/sys/fs/cgroup/memory.max"), used("/sys/fs/cgroup/memory.current");
  std::int64_t limit_bytes = 0, used_bytes = 0;
  if (limit >> limit_bytes && used >> used_bytes) least = std::min(least, limit_bytes - used_bytes);
  return least;
}

void fill(std::span<std::byte> bytes, std::uint64_t seed, int from) {
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(std::uint64_t)) {
    const auto word = random::mix(seed + static_cast<std::uint64_t>(from) + i);
    std::memcpy(bytes.data() + i, &word, sizeof word);
  }
}

bool is_filled(std::span<const std::byte> bytes, std::uint64_t seed, int from) {
  for (std::size_t i = 0; i < bytes.size(); i += sizeof(std::uint64_t)) {
    const auto word = random::mix(seed + static_cast<std::uint64_t>(from) + i);
    if (std::memcmp(bytes.data() + i, &word, sizeof word) != 0) return false;
  }
  return true;
}

int run() {
  const auto ranks = make_mpi_communicator({.timeout_s = 200});
  const int self = ranks->rank(), other = 1 - self;
  if (ranks->world_size() != 2) throw Error{ExitCode::usage, "two ranks are needed", "mpirun -n"};
  std::int64_t missing = kNeeded - available_bytes();
  ranks->all_reduce_max({"memory"}, {&missing, 1});
  if (missing > 0) {
    if (self == 0)
      fmt::print("SKIPPED: counts beyond 2^31 bytes were NOT tried: {:.1f} GiB of memory are missing\n",
                 static_cast<double>(missing) / (1 << 30));
    return 77;
  }
  std::vector<std::byte> send(static_cast<std::size_t>(kBytes)), recv(send.size());
  bool is_right = true;
  const auto judge = [&](const char* name, std::uint64_t seed) {
    const bool holds = is_filled(recv, seed, other);
    if (!holds) fmt::print("broken on rank {}: {} of {} bytes\n", self, name, kBytes);
    is_right = is_right && holds;
  };

  fill(send, 1, self);
  ranks->exchange({"large message"}, other, send, other, recv);
  judge("a message", 1);

  fill(send, 2, self);
  std::ranges::fill(recv, std::byte{0});
  const std::vector<std::int64_t> offsets{0, self == 0 ? 0 : kBytes, kBytes};  // nothing to itself
  ranks->all_to_all({"large chunk"}, {send, offsets}, {recv, offsets});
  judge("a chunk", 2);
  return is_right ? 0 : 1;
}

}  // namespace
}  // namespace swallowtail

int main() {
  using swallowtail::MpiSession;
  int code = 0;
  try {
    const MpiSession session;
    code = swallowtail::run();
    if (code == 1) MpiSession::abort(code);
  } catch (const swallowtail::Error& error) {
    MpiSession::fail(error);
  }
  return code;
}
