// `swallowtail bench kernels` without the rest of the program: quick to build. usage: kernels_bench [--json] [PART OF A
// NAME]
#include <cstring>
#include <iostream>

#include "trainer/cli/kernel_timings.h"

int main(int argc, char** argv) {
  using namespace swallowtail::cli;
  KernelTimingOptions options;
  bool as_json = false;
  for (int i = 1; i < argc; ++i)
    if (std::strcmp(argv[i], "--json") == 0)
      as_json = true;
    else
      options.only = argv[i];
  const auto timings = time_kernels(options);
  if (!as_json) {
    std::cout << table_of(timings);
    return 0;
  }
  auto results = nlohmann::json::array();
  for (const KernelTiming& timing : timings) results.push_back(to_json(timing));
  std::cout << nlohmann::json{{"bench", "kernels"}, {"results", results}}.dump(2) << "\n";
}
