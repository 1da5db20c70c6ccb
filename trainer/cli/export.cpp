#include <fmt/format.h>

#include <array>
#include <charconv>
#include <filesystem>
#include <thread>

#include "trainer/cli/command.h"
#include "trainer/cli/ledger_record.h"
#include "trainer/cli/report_text.h"
#include "trainer/export/export_onnx.h"
#include "trainer/export/export_tensors.h"
#include "trainer/files/durable_file.h"

namespace swallowtail::cli {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::array kFlags{
    Flag{"format", "NAME", "safetensors (default), numpy or onnx"},
    Flag{"to", "PATH", "the file, or the folder for numpy and --reshard; default: RUN/export/..."},
    Flag{"checkpoint", "WHICH", "best (default), last, or step-<n>"},
    Flag{"weights", "WHICH", "average or raw; default: the average where the run keeps one"},
    Flag{"reshard", "N", "writes the checkpoint as N ranks would have, optimizer state included"},
    Flag{"inspect", "", "tables, rows, sizes, norms and the state of every digest; writes nothing"},
};

Weights parse_weights(const std::string& text) {
  if (text.empty()) return Weights::usual;
  if (text == "raw") return Weights::raw;
  if (text == "average") return Weights::average;
  throw Error{ExitCode::usage, fmt::format("--weights wants average or raw, not '{}'", text), "command line"};
}

int parse_ranks(const std::string& text) {
  int ranks = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ranks);
  if (error != std::errc() || end != text.data() + text.size() || ranks < 1 || ranks > 100'000)
    throw Error{ExitCode::usage, fmt::format("--reshard wants a number of ranks, not '{}'", text), "command line"};
  return ranks;
}

std::string inspection_text(const json& found) {
  std::string text =
      fmt::format("swallowtail: {} of {} ranks, {} checked, digest {}\n", found.at("checkpoint").get<std::string>(),
                  found.at("world_size").get<int>(), human_bytes(found.at("checked_bytes").get<double>()),
                  found.at("manifest_sha256").get<std::string>());
  const auto line = [&](const json& one, const std::string& shape) {
    text += fmt::format("  {:<32} {:>18}  norm {:<12.6g} largest {:<12.6g}{}\n", one.at("name").get<std::string>(),
                        shape, one.at("norm").get<double>(), one.at("largest").get<double>(),
                        one.at("not_finite").get<std::int64_t>() > 0 ? "  NOT FINITE" : "");
  };
  for (const json& one : found.at("tables"))
    line(one, fmt::format("{} x {}", one.at("rows").get<std::int64_t>(), one.at("dim").get<std::int64_t>()));
  for (const json& one : found.at("dense")) line(one, one.at("shape").dump());
  return text;
}

Outcome run_alone(const Arguments& arguments) {
  if (arguments.rest().size() != 1)
    throw Error{ExitCode::usage, "one run directory is wanted", "command line", "swallowtail export runs/NAME"};
  const fs::path run_dir = arguments.rest()[0];
  const TrainedModel model =
      TrainedModel::open(run_dir, arguments.value("checkpoint", "best"), parse_weights(arguments.value("weights")));
  Outcome outcome;
  if (arguments.has("inspect")) {
    outcome.json = inspect(model, static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
    outcome.text = inspection_text(outcome.json);
    return outcome;
  }
  const std::string format = arguments.value("format", "safetensors"), to = arguments.value("to");
  const fs::path folder = run_dir / "export";
  const auto target = [&](const std::string& name) {
    const fs::path path = to.empty() ? folder / name : fs::path(to);
    if (path.has_parent_path()) make_folder_durably(path.parent_path());
    return path;
  };
  const std::string stem = fmt::format("step-{}", model.checkpoint().step());
  if (arguments.has("reshard"))
    outcome.json = export_resharded(model, target("resharded"), parse_ranks(arguments.value("reshard")));
  else if (format == "safetensors")
    outcome.json = export_safetensors(model, target(stem + ".safetensors"));
  else if (format == "numpy")
    outcome.json = export_numpy(model, target(stem + "-numpy"));
  else if (format == "onnx")
    outcome.json = export_onnx(model, target(stem + ".onnx"));
  else
    throw Error{ExitCode::usage, fmt::format("unknown format '{}'", format), "command line",
                "safetensors, numpy or onnx"};
  outcome.json["checkpoint"] = stem;
  outcome.text = record_in_ledger(run_dir, model.experiment(), "export", outcome.json);
  outcome.text += fmt::format("swallowtail: wrote {}\n", outcome.json.value("file", outcome.json.value("folder", "")));
  return outcome;
}

Outcome run(const Arguments& arguments, Ranks& ranks) { return ranks.rank() == 0 ? run_alone(arguments) : Outcome{}; }

}  // namespace

const Command kExport{
    .name = "export",
    .summary = "a run's weights as safetensors, NumPy or ONNX; its checkpoint for other ranks",
    .usage = "RUN [flags]",
    .flags = kFlags,
    .notes =
        "The export is recorded in the run's ledger. ONNX: ids_<feature> are rows of its tables, bags\n"
        "filled up with -1; large tensors stand in FILE.data beside FILE.",
    .examples =
        "swallowtail export runs/quickstart --inspect\n"
        "swallowtail export runs/quickstart --format onnx --to model.onnx\n"
        "swallowtail export runs/quickstart --reshard 8 --to runs/quickstart8/checkpoints",
    .run = run};

}  // namespace swallowtail::cli
