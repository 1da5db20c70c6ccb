// Who has touched what: the data of ranking models. Users and items are known by their external ids; within the program
// they are numbers in the order of those ids, so that a number's order is the ids' order and no file's. Read once by
// rank 0, the same on every rank; immutable afterwards, so any number of threads may read it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"

namespace swallowtail {

constexpr std::int64_t kColdId = -1;  // of a user or item that the run does not know

/// External ids in their order: by value where all of them are whole numbers (2 before 10), else by bytes.
class IdList {
 public:
  IdList() = default;
  /// `names` are distinct, in any order.
  explicit IdList(std::vector<std::string> names);
  std::int64_t size() const noexcept { return static_cast<std::int64_t>(names_.size()); }
  const std::string& name(std::int64_t id) const { return names_[static_cast<std::size_t>(id)]; }
  const std::vector<std::string>& names() const noexcept { return names_; }
  /// Number of the external id, or kColdId.
  std::int64_t find(std::string_view name) const;

 private:
  std::vector<std::string> names_;
  bool is_numeric_ = false;
};

/// The interactions of every user, oldest first. Rows of one time stand in the order of the file.
struct Histories {
  std::vector<std::int64_t> offsets{0};  // [users + 1]
  std::vector<std::int64_t> items;       // [N]
  std::vector<float> ratings;            // [N]; 1 where the files have none
  std::vector<double> times;             // [N]; 0 where the files have none

  std::int64_t users() const noexcept { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::int64_t size() const noexcept { return static_cast<std::int64_t>(items.size()); }
  std::int64_t count(std::int64_t user) const { return offsets[user + 1] - offsets[user]; }
  std::span<const std::int64_t> of(std::int64_t user) const {
    return std::span(items).subspan(static_cast<std::size_t>(offsets[user]), static_cast<std::size_t>(count(user)));
  }
};

/// A column of a side table, one entry a user or item in the order of their numbers.
struct SideColumn {
  enum class Kind : std::uint8_t { number, category, multi, text, image };
  std::string name;
  Kind kind = Kind::category;
  std::vector<float> numbers;           // number: [rows], NaN where it is missing
  std::vector<std::string> categories;  // category, multi: in the order of IdList
  std::vector<std::int64_t> offsets;    // category, multi: [rows + 1] into codes; a category has one code or none;
                                        // image: [rows + 1] into the images
  std::vector<std::int64_t> codes;      // numbers of categories
  std::vector<std::string> texts;       // text: [rows]
  std::vector<std::uint8_t> pixels;     // image: [images, 3, 64, 64]; row r has image offsets[r], or none
};

struct SideTable {
  std::vector<SideColumn> columns;
  const SideColumn* find(std::string_view name) const;
};

struct Interactions {
  IdList users, items;                // of all parts and side tables: the catalogue is `items`
  Histories train, validation, test;  // [users]; empty where the experiment has no such part
  Histories candidates;               // sampled protocol: what to rank for each user, the true item among it
  SideTable user_table, item_table;
  bool has_ratings = false, has_times = false;
  std::int64_t rows_read = 0, rows_quarantined = 0;
  std::int64_t rows_below_min_rating = 0, rows_duplicate = 0, rows_filtered = 0;
  std::vector<std::string> notes;  // what the user should know of the reading
  std::string fingerprint;         // digest of the sources and of the options that decide what is made of them

  bool has_validation() const noexcept { return validation.size() > 0; }
  bool has_test() const noexcept { return test.size() > 0; }
};

/// How often each item occurs in `histories`, [items].
std::vector<std::int64_t> item_counts(const Histories& histories, std::int64_t items);

enum class InteractionsFrom : std::uint8_t {
  sources,  // the files that the experiment names
  run,      // what the run has stored in prepared/; the files may be gone
  either    // the store where the sources have not changed since, else the sources (--resume)
};

/// Collective: rank 0 reads, checks, filters and splits what data.* names, stores it in `<run_dir>/prepared/` and sends
/// it to the others. Bad rows go to `<run_dir>/quarantine.tsv` or fail, as data.on_bad_row says.
/// Errors: ExitCode::data with file:line:column; usage for columns that do not exist and options that contradict.
Interactions open_interactions(const Experiment& experiment, const std::filesystem::path& run_dir, Communicator& ranks,
                               InteractionsFrom from = InteractionsFrom::sources);

}  // namespace swallowtail
