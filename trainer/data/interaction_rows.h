// The rows of interaction files, checked and filtered, and their division into parts.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "trainer/data/bad_rows.h"
#include "trainer/data/input_files.h"
#include "trainer/data/interaction_options.h"
#include "trainer/data/interactions.h"
#include "trainer/data/row_stream.h"

namespace swallowtail {

/// Numbers external ids as they come; sorted() orders them afterwards.
class IdNumbers {
 public:
  IdNumbers() = default;
  IdNumbers(const IdNumbers&) = delete;
  IdNumbers& operator=(const IdNumbers&) = delete;
  std::int64_t number(std::string_view name);
  /// The ids in their order; `renumber` [names so far] takes the numbers given here to those of the list.
  IdList sorted(std::vector<std::int64_t>& renumber) const;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> numbers_;
  const std::pair<const std::string, std::int64_t>* latest_ = nullptr;  // within numbers_
};

struct InteractionRow {
  std::int64_t user = 0, item = 0;
  float rating = 1;
  Part part = Part::train;
  double time = 0;
  std::int64_t text = -1;  // place among InteractionRows::texts, or none
};

/// Rows in the order of the files, all parts.
struct InteractionRows {
  std::vector<InteractionRow> rows;
  std::vector<std::string> text_columns;        // of data.text, those that a training file has
  std::vector<std::vector<std::string>> texts;  // of training rows, one a column
  bool has_ratings = true, has_times = true;    // of every file
};

/// Adds the rows of `files`. Errors: ExitCode::data as BadRows; usage where a file lacks the user or item column.
void read_interactions(const InteractionOptions& options, const std::string& key, std::span<const InputFile> files,
                       Part part, BadRows& bad_rows, const std::function<void()>& tick, IdNumbers& users,
                       IdNumbers& items, InteractionRows& all, Interactions& counts);

/// data.min_rating, data.duplicates, then the smallest counts on the rows of the training files. Rows keep their order.
/// Errors: ExitCode::data where duplicates are forbidden and one is found.
void filter_interactions(const InteractionOptions& options, InteractionRows& all, Interactions& counts);

/// Gives the rows of the training files their parts, as options.split says.
void split_interactions(const InteractionOptions& options, InteractionRows& all);

/// Where a fold is held out: what neither trains nor validates then leaves the rows, and the rows of the test part
/// stay. Groups of stratified and user folds are users.
void fold_interactions(const InteractionOptions& options, InteractionRows& all);

/// Leaves each user options.max_history training rows, the latest or the first ones; how many rows went.
std::int64_t cut_histories(const InteractionOptions& options, InteractionRows& all);

/// What the training rows say of each item (reviews): a column of free text for each of all.text_columns, the rows'
/// texts one after another as they stand in the files, up to 64 KiB an item. Call after the split.
std::vector<SideColumn> item_columns_of(const InteractionRows& all, std::int64_t items);

/// The rows of one part by user, oldest first; rows of one time in their order.
Histories histories_of(const InteractionRows& all, Part part, std::int64_t users);

}  // namespace swallowtail
