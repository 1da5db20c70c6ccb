#include <fmt/format.h>

#include "trainer/cli/bench.h"
#include "trainer/device/device_trainer.h"

namespace swallowtail::cli {
namespace {

nlohmann::json to_json(const DeviceTiming& timing) {
  nlohmann::json json{{"case", {{"kernel", timing.kernel}, {"shape", timing.shape}}},
                      {"value", timing.value},
                      {"unit", timing.unit},
                      {"min", timing.min},
                      {"max", timing.max}};
  if (timing.limit > 0) {
    json["limit"] = timing.limit;
    json["limit_name"] = timing.limit_name;
    json["ratio_to_limit"] = timing.value / timing.limit;
  }
  return json;
}

std::string line_of(const DeviceTiming& timing) {
  return fmt::format("  {:<38} {:<44} {:>10.4g} {:<12} {}\n", timing.kernel, timing.shape, timing.value, timing.unit,
                     timing.limit > 0 ? fmt::format("{:.2f} of {} ({:.4g})", timing.value / timing.limit,
                                                    timing.limit_name, timing.limit)
                                      : std::string());
}

BenchReport run(const Arguments& arguments, Ranks& ranks) {
  if (ranks.world_size() > 1)
    throw Error{ExitCode::usage, "bench device measures one device", "command line", "start it without mpirun"};
  const DeviceBackend* const backend = device_backend();
  if (!backend || backend->count() == 0)
    throw Error{ExitCode::usage, backend ? "there is no CUDA device here" : "this program was built without CUDA",
                "bench device", "see docs/GPU.md: a build with the cuda preset, on a machine with a GPU"};
  BenchReport report;
  report.more = {{"device", backend->name(0)}, {"tiny", arguments.has("tiny")}};
  report.text = fmt::format("swallowtail: {}\n", backend->name(0));
  for (const DeviceTiming& timing :
       backend->bench({.tiny = arguments.has("tiny"), .only = std::string(arguments.value("only", ""))}, 0)) {
    report.results.push_back(to_json(timing));
    report.text += line_of(timing);
  }
  return report;
}

}  // namespace

const Bench kBenchDevice{.name = "device", .summary = "the CUDA kernels and whole steps on a GPU", .run = run};

}  // namespace swallowtail::cli
