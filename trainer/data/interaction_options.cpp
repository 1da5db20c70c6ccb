#include "trainer/data/interaction_options.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "trainer/config/nearest.h"

namespace swallowtail {
namespace {

constexpr std::array<std::string_view, 4> kRoles{"user", "item", "rating", "timestamp"};

SplitBy split_of(const std::string& name) {
  return name == "order"           ? SplitBy::order
         : name == "time"          ? SplitBy::time
         : name == "user_time"     ? SplitBy::user_time
         : name == "user"          ? SplitBy::user
         : name == "leave_one_out" ? SplitBy::leave_one_out
                                   : SplitBy::random;
}

Duplicates duplicates_of(const std::string& name) {
  return name == "keep"    ? Duplicates::keep
         : name == "first" ? Duplicates::first
         : name == "fail"  ? Duplicates::fail
                           : Duplicates::last;
}

std::vector<std::filesystem::path> paths_of(const Experiment& experiment, std::string_view key) {
  return experiment.has(key) ? experiment.paths(key) : std::vector<std::filesystem::path>{};
}

void read_split(const Experiment& experiment, InteractionOptions& options) {
  const bool leaves_one = experiment.text("data.split.by") == "leave_one_out";
  const DataOptions& files = options.files;
  if (leaves_one && !(files.validation.empty() && files.test.empty()))
    throw experiment.error("data.split.by", "data.validation or data.test is given too",
                           "leave the parts to the split, or take out data.split");
  if (leaves_one || files.split_validation > 0 || files.split_test > 0)
    options.split = split_of(experiment.text("data.split.by"));
}

}  // namespace

InteractionOptions interaction_options(const Experiment& experiment) {
  InteractionOptions options;
  options.files = data_options(experiment);
  options.users = paths_of(experiment, "data.users");
  options.items = paths_of(experiment, "data.items");
  options.candidates = paths_of(experiment, "data.candidates");
  for (const auto& [role, section] : experiment.named_sections("data.columns")) {
    std::string* const name = role == "user"        ? &options.user
                              : role == "item"      ? &options.item
                              : role == "rating"    ? &options.rating
                              : role == "timestamp" ? &options.timestamp
                                                    : nullptr;
    if (name == nullptr)
      throw Error{ExitCode::usage, fmt::format("interactions have no column called '{}'", role), "data.columns",
                  did_you_mean(role, kRoles)};
    if (section.has("name")) *name = section.text("name");
  }
  options.text = options.files.text;
  options.images = experiment.texts("data.images");
  options.has_own_separator = experiment.is_set("data.separator");
  options.duplicates = duplicates_of(experiment.text("data.duplicates"));
  if (experiment.has("data.min_rating")) options.min_rating = experiment.number("data.min_rating");
  options.min_user_count = experiment.integer("data.min_user_count");
  options.min_item_count = experiment.integer("data.min_item_count");
  options.repeats_filters = experiment.boolean("data.repeat_filters");
  if (experiment.has("data.max_history")) options.max_history = experiment.integer("data.max_history");
  options.keeps_latest = experiment.text("data.max_history_of") == "latest";
  read_split(experiment, options);
  return options;
}

std::string interaction_options_text(const InteractionOptions& options) {
  const DataOptions& files = options.files;
  nlohmann::json json{{"delimiter", static_cast<int>(files.delimiter)},
                      {"separator", options.has_own_separator ? files.defaults.separator : ""},
                      {"missing", files.missing},
                      {"columns", {options.user, options.item, options.rating, options.timestamp}},
                      {"lists", {files.dense, files.categorical, files.multi_hot, options.text}},
                      {"duplicates", static_cast<int>(options.duplicates)},
                      {"min_rating", options.min_rating ? nlohmann::json(*options.min_rating) : nlohmann::json()},
                      {"counts", {options.min_user_count, options.min_item_count, options.repeats_filters}},
                      {"split", {static_cast<int>(options.split), files.split_validation, files.split_test}},
                      {"seed", options.split == SplitBy::random || options.split == SplitBy::user ? files.seed : 0}};
  if (files.folds.is_on()) json["folds"] = files.folds.text();
  if (options.max_history) json["max_history"] = {*options.max_history, options.keeps_latest};
  if (!options.images.empty()) json["images"] = options.images;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace swallowtail
