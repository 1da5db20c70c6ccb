// Side tables of interactions: what is known of users or items, by their external ids.
// What a column is, in this order: the list of data.* that names it; the type in its header (float, token, token_seq;
// a float_seq is not used, and a note says so); else its values: numbers where all are, several categories where
// data.separator stands in one value of ten, free text where a value has three words or more on average, else one
// category.
#pragma once

#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "trainer/data/bad_rows.h"
#include "trainer/data/input_files.h"
#include "trainer/data/interaction_options.h"
#include "trainer/data/interactions.h"

namespace swallowtail {

/// A table as text, before the ids have their numbers.
struct SideRows {
  struct Column {
    std::string name, type;
    std::vector<std::string> values;  // [rows]
  };
  std::vector<std::string> ids;  // [rows], distinct
  std::vector<Column> columns;   // without the id
};

/// Reads `files`, which have the same columns. `role`: "user" or "item"; `wanted`: the id's column, or empty for the
/// usual names. A row without id, or with an id that came before, is bad, and so is one whose number is none.
/// Errors: ExitCode::data as BadRows; usage where the columns differ among the files or the id has none.
SideRows read_side_rows(const InteractionOptions& options, const std::string& role, const std::string& wanted,
                        std::span<const InputFile> files, BadRows& bad_rows, const std::function<void()>& tick,
                        Interactions& counts);

/// Columns over `ids`; ids without a row have nothing in every column.
SideTable side_table(const InteractionOptions& options, const SideRows& rows, const IdList& ids,
                     std::vector<std::string>& notes);

/// Errors: usage where a list of data.* names a column that is in neither table.
void check_listed_columns(const InteractionOptions& options, const SideTable& users, const SideTable& items);

}  // namespace swallowtail
