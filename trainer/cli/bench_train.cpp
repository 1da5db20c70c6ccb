#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iostream>
#include <string>

#include "kernels/isa.h"
#include "trainer/cli/bench.h"
#include "trainer/cli/experiment_argument.h"
#include "trainer/cli/report_text.h"
#include "trainer/config/nearest.h"
#include "trainer/training/step_bench.h"

namespace swallowtail::cli {
namespace {

using nlohmann::json;

constexpr std::int64_t kBatches = 8;  // that the data hold

struct Shape {
  std::string_view name;
  std::string_view data;   // of the section
  std::string_view model;  // likewise
  std::int64_t batch;
};

/// The architectures of the reference DLRM and of MLPerf's DLRM-DCNv2. MLPerf's tables do not fit one machine: they are
/// capped at 200,000 rows.
constexpr std::array kShapes{
    Shape{"kaggle", "tables_preset: kaggle", "embedding_dim: 16, bottom_mlp: [512, 256, 64], top_mlp: [512, 256]",
          2048},
    Shape{"bench", "tables_preset: bench", "embedding_dim: 64, bottom_mlp: [512], top_mlp: [1024, 1024, 1024]", 2048},
    Shape{"multihot", "tables_preset: multihot",
          "embedding_dim: 128, bottom_mlp: [512, 256], top_mlp: [1024, 1024, 512, 256]", 2048},
    Shape{"dcnv2", "tables_preset: multihot, id_distribution: zipf",
          "embedding_dim: 128, bottom_mlp: [512, 256], interaction: cross, cross_layers: 3, cross_rank: 512, "
          "top_mlp: [1024, 1024, 512, 256]",
          2048},
    Shape{"small",
          "dense_features: 13, tables: [{rows: 1000, dim: 16}, {rows: 10000, dim: 16}, {rows: 100000, dim: 16}, "
          "{rows: 1000, dim: 16, pooling_factor: 10}]",
          "embedding_dim: 16, bottom_mlp: [64], top_mlp: [64]", 512},
};

std::int64_t number(std::string_view flag, const std::string& text, std::int64_t low) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low)
    throw Error{ExitCode::usage, fmt::format("--{} is '{}'", flag, text), "command line",
                fmt::format("give a whole number from {}", low)};
  return value;
}

const Shape& find_shape(const std::string& name) {
  std::vector<std::string_view> names;
  for (const Shape& shape : kShapes) {
    names.push_back(shape.name);
    if (shape.name == name) return shape;
  }
  throw Error{ExitCode::usage, fmt::format("unknown shape '{}'", name), "command line", did_you_mean(name, names)};
}

/// The experiment of a shape, or the one that was named.
Experiment experiment_of(const Arguments& arguments, const std::string& shape_name) {
  const auto words = arguments.rest();  // "train" and perhaps a file
  std::vector<std::string> overrides = arguments.overrides();
  if (arguments.has("batch"))
    overrides.push_back(fmt::format("train.batch_size={}", number("batch", arguments.value("batch"), 1)));
  if (words.size() > 1) {
    if (arguments.has("shape"))
      throw Error{ExitCode::usage, "an experiment and --shape are both given", "command line", "keep one of them"};
    return Experiment::load(words[1], overrides);
  }
  const Shape& shape = find_shape(shape_name);
  const std::int64_t batch = arguments.has("batch") ? number("batch", arguments.value("batch"), 1) : shape.batch;
  const std::string text = fmt::format(
      "name: bench-{}\ndata: {{source: synthetic, samples: {}, {}}}\nmodel: {{{}}}\n"
      "train: {{batch_size: {}, optimizer: sgd, learning_rate: 0.01}}\n"
      "embedding: {{optimizer: sgd, learning_rate: 0.01}}\ncheckpoint: {{enabled: false}}\n",
      shape.name, kBatches * batch, shape.data, shape.model, batch);
  return Experiment::parse(text, overrides, fmt::format("--shape {}", shape.name));
}

BenchReport run(const Arguments& arguments, Ranks& ranks) {
  const bool has_file = arguments.rest().size() > 1;
  const std::string shape = has_file ? std::string{} : arguments.value("shape", "kaggle");
  const Experiment experiment = experiment_of(arguments, shape);
  StepBenchOptions options;
  options.repeats = static_cast<int>(number("repeats", arguments.value("repeats", "7"), 0));
  options.steps = number("steps", arguments.value("steps", "0"), 0);
  options.losses = number("losses", arguments.value("losses", "0"), 0);
  options.limits = !arguments.has("no-limits");
  options.record = arguments.value("record");
  if (!options.record.empty() && ranks.world_size() > 1)
    throw Error{ExitCode::usage, "--record is for one process", "command line", "start it without mpirun"};
  if (arguments.has("paced")) {
    std::cerr << (ranks.rank() == 0 ? "ready\n" : "") << std::flush;
    options.wants_repeat = [] {
      std::string line;
      return static_cast<bool>(std::getline(std::cin, line));
    };
    options.repeated = [](double samples_per_s) { std::cerr << fmt::format("{:.3f}\n", samples_per_s) << std::flush; };
  }
  Communicator& communicator = ranks.connect(experiment.number("parallel.timeout_s"));
  json found = bench_steps(experiment, options, communicator);
  json of = {{"shape", has_file ? experiment.text("name") : shape},
             {"batch", found.at("batch")},
             {"ranks", ranks.world_size()},
             {"optimizer", experiment.text("train.optimizer")},
             {"embedding_optimizer", experiment.text("embedding.optimizer")},
             {"deterministic", experiment.boolean("train.deterministic")}};
  BenchReport report;
  report.more = {{"isa", name_of(active_isa())}};
  if (found.contains("losses")) report.more["losses"] = found["losses"];
  if (!found.contains("samples_per_s")) return report;
  json result = {{"case", of},
                 {"value", found["samples_per_s"]},
                 {"unit", "samples/s"},
                 {"min", found["min"]},
                 {"max", found["max"]},
                 {"seconds_a_step", found["seconds_a_step"]},
                 {"steps_a_repeat", found["steps"]},
                 {"repeats", found["repeats"]},
                 {"phases", found["phases"]},
                 {"memory", found["memory"]}};
  report.text = fmt::format("train step, {} with batch {}, {} ranks, {}: {:.0f} samples/s ({:.0f} to {:.0f})\n",
                            of["shape"].get<std::string>(), of["batch"].get<std::int64_t>(), ranks.world_size(),
                            name_of(active_isa()), found["samples_per_s"].get<double>(), found["min"].get<double>(),
                            found["max"].get<double>());
  if (found.contains("limits")) {
    const json& limits = found["limits"];
    const double value = found["samples_per_s"], gemm = limits["gemm"];
    const auto how = limits["gemm_by"].get<std::string>();
    result["limited_by"] = fmt::format("the model's matrix products alone, {}", how);
    result["limit"] = gemm;
    result["ratio_to_limit"] = value / gemm;
    result["limits"] = limits;
    report.text += fmt::format(
        "  {:.3f} of the matrix products alone, {} ({:.0f}/s, {:.1f} GFLOP/s a rank), {:.3f} of products and rows one "
        "after the other ({:.0f}/s)\n  rows alone {:.0f}/s: read {:.2f} GB/s, read and written {:.2f} GB/s a rank\n",
        value / gemm, how, gemm, limits["gemm_gflops_a_rank"].get<double>(), value / limits["together"].get<double>(),
        limits["together"].get<double>(), limits["embedding"].get<double>(),
        limits["row_gather_gb_per_s_a_rank"].get<double>(), limits["row_update_gb_per_s_a_rank"].get<double>());
  }
  report.text += "  a step, ms:";
  for (const auto& [phase, seconds] : found["phases"].items())
    report.text += fmt::format(" {} {:.3f},", phase, seconds.get<double>() * 1e3);
  report.text.back() = '\n';
  report.text += fmt::format("  memory {}, of it tables {}\n", human_bytes(found["memory"]["peak_rss_bytes"]),
                             human_bytes(found["memory"]["tables"]));
  report.results.push_back(std::move(result));
  return report;
}

}  // namespace

const Bench kBenchTrain{.name = "train", .summary = "whole training steps", .takes_experiment = true, .run = run};

}  // namespace swallowtail::cli
