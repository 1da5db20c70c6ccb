// What data.* says of interactions, as plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "trainer/config/experiment.h"
#include "trainer/data/data_options.h"

namespace swallowtail {

enum class SplitBy : std::uint8_t { none, random, order, time, user_time, user, leave_one_out };
enum class Duplicates : std::uint8_t { keep, first, last, fail };

struct InteractionOptions {
  DataOptions files;  // train, validation, test, delimiter, separator, missing, quarantine, seed, lists of columns
  std::vector<std::filesystem::path> users, items, candidates;
  std::string user, item, rating, timestamp;  // columns that the experiment names; empty: the usual names
  std::vector<std::string> text;              // columns of side tables that are free text
  std::vector<std::string> images;            // columns of data.items that name image files
  bool has_own_separator = false;             // data.separator was set
  Duplicates duplicates = Duplicates::last;
  std::optional<double> min_rating;
  std::int64_t min_user_count = 1, min_item_count = 1;
  bool repeats_filters = true;
  std::optional<std::int64_t> max_history;  // training rows of a user that stay
  bool keeps_latest = true;                 // of them, else the first ones
  SplitBy split = SplitBy::none;
};

/// Errors: ExitCode::usage at the key's place for parts given twice and keys that belong to other sources.
InteractionOptions interaction_options(const Experiment& experiment);

/// The options that decide what is made of the files, as one line; equal text and equal files, equal interactions.
std::string interaction_options_text(const InteractionOptions& options);

}  // namespace swallowtail
