#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "trainer/cli/command.h"
#include "trainer/cli/experiment_argument.h"
#include "trainer/cli/report_text.h"
#include "trainer/training/cross_validation.h"

namespace swallowtail::cli {
namespace {

constexpr std::array kFlags{
    Flag{"resume", "", "go on from the newest good checkpoint of the run"},
    Flag{"strict", "", "with --resume: end with 6 where the newest checkpoint is damaged"},
    Flag{"force", "", "replace an existing run"},
    Flag{"dry-run", "", "check everything, print the memory bill, write nothing"},
    Flag{"trace", "", "write trace.json, a timeline of ranks and phases; as report.trace=true"},
    Flag{"ablate", "PART", "SAP without a component, by its name, or a part, such as no_graph"},
    Flag{"quiet", "", "no progress, no closing lines"},
    Flag{"help-config", "", "every key of the experiment file: type, default, range, meaning"},
};

Outcome run(const Arguments& arguments, Ranks& ranks) {
  if (arguments.has("resume") && arguments.has("force"))
    throw Error{ExitCode::usage, "--resume goes on with a run and --force replaces it", "command line",
                "give one of them"};
  if (arguments.has("strict") && !arguments.has("resume"))
    throw Error{ExitCode::usage, "--strict is about --resume, which was not given", "command line",
                "give both, or neither"};
  std::vector<std::string> more;
  if (arguments.has("trace")) more.emplace_back("report.trace=true");
  const Experiment experiment = experiment_argument(arguments, more);
  const TrainRequest request{.resume = arguments.has("resume"),
                             .strict = arguments.has("strict"),
                             .force = arguments.has("force"),
                             .dry_run = arguments.has("dry-run"),
                             .quiet = arguments.has("quiet"),
                             .command = arguments.command_line(),
                             .ablate = arguments.value("ablate")};
  Communicator& communicator = ranks.connect(experiment.number("parallel.timeout_s"));
  Outcome outcome{.json = train_experiment(experiment, request, communicator)};
  if (request.quiet) return outcome;
  outcome.text = request.dry_run ? memory_bill_text(outcome.json) : summary_text(outcome.json);
  return outcome;
}

}  // namespace

const Command kTrain{.name = "train",
                     .summary = "trains an experiment and writes its run directory",
                     .usage = "EXPERIMENT.yaml [section.key=value ...] [flags]",
                     .flags = kFlags,
                     .notes =
                         "section.key=value sets a key of the experiment file; the later one wins.\n"
                         "An existing run is never overwritten: use --resume, --force, or another name or run.dir.",
                     .examples =
                         "swallowtail train configs/quickstart.yaml\n"
                         "mpirun -n 4 swallowtail train configs/adult_dlrm.yaml seed=2 run.dir=runs/seed2\n"
                         "swallowtail train configs/criteo_kaggle.yaml --dry-run\n"
                         "mpirun -n 2 swallowtail train configs/quickstart.yaml --resume\n"
                         "swallowtail train --help-config",
                     .run = run};

}  // namespace swallowtail::cli
