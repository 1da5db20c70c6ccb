// Damaged inputs for one parser, without libFuzzer.
//   fuzz_parsers list
//   fuzz_parsers TARGET [MUTATIONS [SEED]]    MUTATIONS: else SWALLOWTAIL_FUZZ_MUTATIONS, else 300
// An input may take 20 s and 1 GiB; what breaks a target is written to fuzz-TARGET.input. 0: held.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "tests/fuzz/mutate.h"
#include "tests/fuzz/target.h"

namespace {

using namespace swallowtail::fuzz;

constexpr unsigned kSeconds = 20;

std::string file_of_input;
std::string_view input;

/// Called when all is lost: only what a signal handler may do.
void keep_input(int signal) {
  const int file = ::open(file_of_input.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (file >= 0) [[maybe_unused]]
    const auto written = ::write(file, input.data(), input.size());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void limit_memory() {
#ifndef __SANITIZE_ADDRESS__  // which maps terabytes, and has limits of its own: scripts/sanitize
  constexpr rlim_t kMemoryBytes = rlim_t{1} << 30;
  const rlimit limit{kMemoryBytes, kMemoryBytes};
  ::setrlimit(RLIMIT_AS, &limit);
#endif
}

Verdict judge(const Target& target, std::string_view bytes) {
  input = bytes;
  ::alarm(kSeconds);
  const Verdict verdict = target.judge(bytes);
  ::alarm(0);
  return verdict;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "list") {
    for (const Target& target : targets()) fmt::print("{}\n", target.name);
    return 0;
  }
  const Target* const target = find_target(name);
  if (target == nullptr) {
    fmt::print(stderr, "usage: fuzz_parsers list | TARGET [MUTATIONS [SEED]]\n");
    return 2;
  }
  const char* const set = std::getenv("SWALLOWTAIL_FUZZ_MUTATIONS");
  const std::uint64_t mutations = std::strtoull(argc > 2 ? argv[2] : set ? set : "300", nullptr, 10);
  const std::uint64_t seed = std::strtoull(argc > 3 ? argv[3] : "1", nullptr, 10);
  file_of_input = fmt::format("fuzz-{}.input", name);
  for (const int signal : {SIGABRT, SIGSEGV, SIGALRM, SIGFPE}) std::signal(signal, keep_input);
  limit_memory();

  const std::vector<std::string> seeds = target->seeds();
  for (const std::string& good : seeds) expect(judge(*target, good) == Verdict::taken, "a good input is taken");
  std::uint64_t taken = 0, refused = 0;
  for (std::uint64_t i = 0; i < mutations; ++i) {
    const std::string damaged = mutate(seeds[i % seeds.size()], seed * 1000003 + i);
    ++(judge(*target, damaged) == Verdict::taken ? taken : refused);
  }
  fmt::print("{}: {} damaged inputs, {} taken, {} refused\n", name, mutations, taken, refused);
  return 0;
}
