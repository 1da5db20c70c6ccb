#include "trainer/training/sap_workshop.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "trainer/checkpoint/checkpoint.h"
#include "trainer/checkpoint/writer.h"
#include "trainer/config/settings.h"
#include "trainer/files/durable_file.h"
#include "trainer/training/ranking_models.h"
#include "trainer/training/ranking_run.h"
#include "trainer/training/run_files.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr const char* kSections[] = {"model", "train", "embedding"};
constexpr const char* kDone = "component.json";  // stands in a component's folder once it is trained

std::string as_list(const std::vector<std::string>& texts) {
  return json(texts).dump();  // JSON's flow lists are YAML's
}

/// The component as an experiment: SAP's own with the component's settings over it.
Experiment component_experiment(const Experiment& sap, const std::string& name, const Section& component,
                                const fs::path& folder) {
  std::vector<std::string> overrides = component.texts("settings");
  if (overrides.empty())
    throw component.error("settings", fmt::format("nothing says what component '{}' is", name),
                          "give it an experiment, or settings: [model.type=…]");
  overrides.push_back("name=" + json(name).dump());
  overrides.push_back("run.dir=" + json(folder.string()).dump());
  const Experiment experiment = Experiment::parse(sap.to_yaml(), overrides, "component " + name + ".yaml");
  if (experiment.text("model.type") == "sap" || !is_ranking(experiment))
    throw component.error("settings", fmt::format("component '{}' is of type {}", name, experiment.text("model.type")),
                          "name a ranking model that is not made of others");
  return experiment;
}

/// The session that a component needs, held by whoever holds its model.
std::shared_ptr<Ranker> model_of(std::unique_ptr<RankingSession> session) {
  const std::shared_ptr<RankingSession> held = std::move(session);
  return {held, held->model.get()};
}

class Workshop final : public SapWorkshop {
 public:
  Workshop(const RankerInput& input, const RunPlace& run) : input_(input), runs_(run.dir), is_quiet_(run.quiet) {
    for (const auto& [name, section] : input.experiment.named_sections("sap.components")) {
      if (!section.boolean("enabled")) continue;
      const Experiment experiment =
          component_experiment(input.experiment, name, section, folder_of(name, SapFold::whole));
      orders_.push_back({name, experiment.text("model.type")});
      experiments_.emplace(name, experiment);
    }
    if (orders_.empty()) throw input.experiment.error("sap.components", "SAP has no component", "name at least one");
  }

  const std::vector<Order>& components() const override { return orders_; }

  std::string identity(const std::string& name) const override {
    std::string text = name + fmt::format(" seed {}", input_.experiment.integer("seed"));
    const Experiment& experiment = experiments_.at(name);
    for (const char* section : kSections)
      for (const std::string& setting : settings_of(experiment, section))
        if (!setting.starts_with("train.threads=")) text += '\n' + setting;  // of the machine, not of the model
    for (const std::string& setting : settings_of(experiment, "sap"))
      if (setting.starts_with("sap.text")) text += '\n' + setting;
    return sha256(text);
  }

  SapComponent make(const std::string& name, SapFold fold) override {
    if (runs_.empty())
      throw Error{ExitCode::usage, "SAP keeps its components in the folder of a run, and there is none", "model.type",
                  "train a run"};
    Interactions data = fold == SapFold::whole ? input_.data : without_meta(input_.data);
    const std::string made_of = identity(name) + ' ' + data.fingerprint;
    for (const fs::path& place : places_of(name, fold))
      if (agree(is_done(place, made_of))) return trained(name, place, std::move(data));
    const fs::path folder = places_of(name, fold).front();
    const Experiment& experiment = experiments_.at(name);
    note(fmt::format("component {}, {}", name,
                     fold == SapFold::whole ? "on all of training" : "without the last interaction of each user"));
    TrainRequest request{.quiet = is_quiet_, .command = "component of " + input_.experiment.text("name")};
    request.resume = agree(can_resume(folder, made_of));
    request.force = !request.resume;
    if (input_.ranks.rank() == 0) {
      fs::create_directories(folder.parent_path());
      if (!request.resume && fs::exists(folder) && !fs::exists(folder / "experiment.yaml")) fs::remove_all(folder);
    }
    const Experiment placed = Experiment::parse(experiment.to_yaml(), {"run.dir=" + json(folder.string()).dump()});
    const auto open = [&] {
      if (input_.ranks.rank() == 0) {
        write_atomically(folder / "identity.txt", made_of);
        keep_data(folder, fold);
      }
      return std::move(data);
    };
    auto run = train_ranking_run(placed, folder, request, input_.ranks, open);
    if (input_.ranks.rank() == 0)
      write_atomically(folder / kDone, json{{"made_of", made_of}, {"fold", fold_name(fold)}}.dump(2) + "\n");
    input_.ranks.barrier(Tag{"component"});
    return {name, experiment.text("model.type"), model_of(std::move(run.session))};
  }

  SapComponent open(const std::string& name, SapFold fold) override {
    Interactions data = fold == SapFold::whole ? input_.data : without_meta(input_.data);
    const std::string made_of = identity(name) + ' ' + data.fingerprint;
    for (const fs::path& place : places_of(name, fold))
      if (agree(is_done(place, made_of))) return trained(name, place, std::move(data));
    throw Error{ExitCode::damaged, fmt::format("the trained component '{}' is missing or another one", name),
                places_of(name, fold).front().string(), "train the run again with --resume"};
  }

  bool restore_stage(std::string_view stage, const std::string& digest, std::span<const RankerState> state,
                     json& facts) override {
    if (runs_.empty()) return false;
    const fs::path folder = runs_ / "stages" / stage;
    bool is_there = false;
    if (input_.ranks.rank() == 0) {
      const auto steps = checkpoint_steps(folder);
      is_there = !steps.empty() && Checkpoint::open(folder, steps.back()).state().value("digest", "") == digest;
    }
    if (!agree(is_there)) return false;
    const Checkpoint saved = Checkpoint::open(folder, checkpoint_steps(folder).back());
    for (const RankerState& array : state) saved.read(array.name, array.bytes);
    facts = saved.state().at("facts");
    note(fmt::format("stage {}: as it was saved", stage));
    return true;
  }

  void save_stage(std::string_view stage, const std::string& digest, std::span<const RankerState> state,
                  const json& facts) override {
    note(fmt::format("stage {}: done", stage));
    if (runs_.empty() || !input_.experiment.boolean("checkpoint.enabled")) return;
    const fs::path folder = runs_ / "stages" / stage;
    if (input_.ranks.rank() == 0) {
      fs::remove_all(folder);
      fs::create_directories(folder);
    }
    std::vector<TensorRef> tensors;
    if (input_.ranks.rank() == 0)
      for (const RankerState& array : state) tensors.push_back({array.name, array.dtype, array.shape, array.bytes});
    input_.ranks.barrier(Tag{"stage"});
    save_checkpoint(folder, {1, {{"digest", digest}, {"facts", facts}}}, tensors, input_.ranks);
  }

  std::string digest(std::string_view text) const override { return sha256(text); }

  void note(const std::string& words) override {
    if (input_.ranks.rank() == 0 && !is_quiet_) std::cerr << "swallowtail: sap: " << words << '\n';
  }

 private:
  fs::path folder_of(const std::string& name, SapFold fold) const {
    return runs_ / (fold == SapFold::whole ? "components" : "meta") / name;
  }
  /// Own folder first, then that of the run whose components are reused.
  std::vector<fs::path> places_of(const std::string& name, SapFold fold) const {
    std::vector<fs::path> places{folder_of(name, fold)};
    if (input_.experiment.has("sap.reuse"))
      places.push_back(input_.experiment.path("sap.reuse") / (fold == SapFold::whole ? "components" : "meta") / name);
    return places;
  }
  static std::string text_of(const fs::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static bool is_done(const fs::path& folder, const std::string& made_of) {
    const json done = json::parse(text_of(folder / kDone), nullptr, false);
    return done.is_object() && done.value("made_of", "") == made_of;
  }
  static bool can_resume(const fs::path& folder, const std::string& made_of) {
    return fs::exists(folder / "experiment.yaml") && text_of(folder / "identity.txt") == made_of;
  }
  /// What rank 0 finds is what all go by.
  bool agree(bool mine) const {
    std::int64_t word = mine ? 1 : 0;
    input_.ranks.broadcast(Tag{"component"}, 0, std::as_writable_bytes(std::span(&word, 1)));
    return word != 0;
  }
  SapComponent trained(const std::string& name, const fs::path& folder, Interactions data) const {
    const Experiment& experiment = experiments_.at(name);
    return {name, experiment.text("model.type"),
            model_of(open_trained(experiment, std::move(data), folder, "best", input_.ranks))};
  }
  /// So that `evaluate` finds the component's data: the same file, where the file system can.
  void keep_data(const fs::path& folder, SapFold fold) const {
    const fs::path store = runs_ / "prepared" / "interactions.bin", own = folder / "prepared" / "interactions.bin";
    if (fold != SapFold::whole || !fs::exists(store) || fs::exists(own)) return;
    fs::create_directories(own.parent_path());
    std::error_code failure;
    fs::create_hard_link(store, own, failure);
    if (failure) fs::copy_file(store, own);
  }

  RankerInput input_;
  fs::path runs_;
  bool is_quiet_;
  std::vector<Order> orders_;
  std::map<std::string, Experiment> experiments_;
};

}  // namespace

Experiment with_components(const Experiment& experiment) {
  if (experiment.text("model.type") != "sap") return experiment;
  std::vector<std::string> overrides;
  for (const auto& [name, section] : experiment.named_sections("sap.components")) {
    std::vector<std::string> settings;
    if (section.has("experiment")) {
      const Experiment own = Experiment::load(section.path("experiment"));
      for (const char* part : kSections)
        for (std::string& setting : settings_of(own, part)) settings.push_back(std::move(setting));
      for (std::string& setting : settings_of(own, "sap"))
        if (setting.starts_with("sap.text")) settings.push_back(std::move(setting));
    }
    for (const std::string& setting : section.texts("settings")) settings.push_back(setting);
    overrides.push_back(fmt::format("sap.components.{}.settings={}", name, as_list(settings)));
    overrides.push_back(fmt::format("sap.components.{}.experiment=null", name));
  }
  return Experiment::parse(experiment.to_yaml(), overrides);
}

std::unique_ptr<SapWorkshop> make_sap_workshop(const RankerInput& input, const RunPlace& run) {
  return std::make_unique<Workshop>(input, run);
}

}  // namespace swallowtail
