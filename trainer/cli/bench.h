// The benchmarks of `swallowtail bench NAME`: one file each, one line each in bench.cpp.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "trainer/cli/arguments.h"
#include "trainer/cli/ranks.h"

namespace swallowtail::cli {

/// What a benchmark found. `results` as DESIGN's shape of `bench NAME`; `more` joins the JSON's top level.
struct BenchReport {
  nlohmann::json results = nlohmann::json::array();
  nlohmann::json more = nlohmann::json::object();
  std::string text;  // for people
};

struct Bench {
  std::string_view name;
  std::string_view summary;       // one line, lower case
  bool takes_experiment = false;  // a file and overrides may follow the name
  BenchReport (*run)(const Arguments& arguments, Ranks& ranks);
};

/// Whether the benchmark measures this machine, and so must not share it: false where it only simulates.
bool measures_machine(const Arguments& arguments);

extern const Bench kBenchAllToAll;
extern const Bench kBenchData;
extern const Bench kBenchDevice;
extern const Bench kBenchKernels;
extern const Bench kBenchTrain;

}  // namespace swallowtail::cli
