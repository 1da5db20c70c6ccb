// The same targets for libFuzzer, which finds its own damage by what code an input reaches.
//   SWALLOWTAIL_FUZZ_TARGET=name [SWALLOWTAIL_FUZZ_SEEDS=folder] fuzz_parsers CORPUS... -max_total_time=60
// The good inputs are written to the folder, which should be among the corpora.
#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/fuzz/target.h"

namespace {
const swallowtail::fuzz::Target* target = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* const name = std::getenv("SWALLOWTAIL_FUZZ_TARGET");
  target = swallowtail::fuzz::find_target(name ? name : "");
  if (target == nullptr) {
    fmt::print(stderr, "SWALLOWTAIL_FUZZ_TARGET names none of the targets\n");
    std::exit(2);
  }
  if (const char* const folder = std::getenv("SWALLOWTAIL_FUZZ_SEEDS")) {
    int number = 0;
    for (const std::string& good : target->seeds())
      std::ofstream(std::filesystem::path(folder) / fmt::format("good-{}", number++), std::ios::binary) << good;
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target->judge({reinterpret_cast<const char*>(data), size});
  return 0;
}
