#include "trainer/data/interaction_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "kernels/random.h"
#include "trainer/data/parse_number.h"
#include "trainer/data/table_reader.h"

namespace swallowtail {
namespace {

constexpr std::int64_t kRowsPerTick = 1024;
constexpr std::size_t kMostItemText = 64 << 10;

/// The fields of one file that play a part.
struct Columns {
  std::size_t user = 0, item = 0;
  std::optional<std::size_t> rating, time;
  std::vector<std::optional<std::size_t>> texts;  // of InteractionRows::text_columns
};

std::size_t required(const TableReader& table, const std::string& wanted, std::string_view role,
                     std::initializer_list<std::string_view> usual) {
  if (const auto found = table.find(wanted, usual)) return *found;
  throw Error{ExitCode::usage, fmt::format("no column of the {} in the header", role),
              fmt::format("{}:1", table.path().string()), fmt::format("name it: data.columns.{}=COLUMN", role)};
}

Columns columns_of(const TableReader& table, const InteractionOptions& options, Part part, InteractionRows& all) {
  Columns columns;
  columns.user = required(table, options.user, "user", {"user", "user_id"});
  columns.item = required(table, options.item, "item", {"item", "item_id"});
  columns.rating = table.find(options.rating, {"rating"});
  columns.time = table.find(options.timestamp, {"timestamp"});
  // What no file of interactions has is a column of a side table, or of none: check_listed_columns() says so.
  if (part == Part::train)
    for (const std::string& name : options.text)
      if (table.find({}, {name}) && std::ranges::find(all.text_columns, name) == all.text_columns.end())
        all.text_columns.push_back(name);
  for (const std::string& name : all.text_columns)
    columns.texts.push_back(part == Part::train ? table.find({}, {name}) : std::nullopt);
  return columns;
}

/// Nothing, or why the row is bad.
std::optional<BadCell> read_row(const TableReader& table, const Columns& columns, InteractionRow& row) {
  for (const std::size_t column : {columns.user, columns.item})
    if (table.field(column).empty()) return table.refuse(column, "the id is empty");
  if (columns.rating) {
    double rating = 0;
    if (const char* reason = parse_number(table.field(*columns.rating), rating))
      return table.refuse(*columns.rating, reason);
    row.rating = static_cast<float>(rating);
  }
  if (columns.time)
    if (const char* reason = parse_number(table.field(*columns.time), row.time))
      return table.refuse(*columns.time, reason);
  return {};
}

/// Numbers of the rows (of one part, or of all) by user, then time, then place in the files.
std::vector<std::int64_t> by_user_and_time(const std::vector<InteractionRow>& rows, std::optional<Part> part = {}) {
  std::vector<std::int64_t> order;
  order.reserve(part ? static_cast<std::size_t>(std::ranges::count(rows, *part, &InteractionRow::part)) : rows.size());
  for (std::size_t r = 0; r < rows.size(); ++r)
    if (!part || rows[r].part == *part) order.push_back(static_cast<std::int64_t>(r));
  std::ranges::stable_sort(order, {}, [&](std::int64_t r) { return std::pair(rows[r].user, rows[r].time); });
  return order;
}

/// Calls use(first, last) for the stretch of each user in `order`.
template <typename Use>
void for_each_user(const std::vector<InteractionRow>& rows, const std::vector<std::int64_t>& order, Use use) {
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && rows[order[end]].user == rows[order[begin]].user) ++end;
    use(std::span(order).subspan(begin, end - begin));
  }
}

template <typename Keep>
std::int64_t drop_unless(std::vector<InteractionRow>& rows, Keep keep) {
  std::size_t kept = 0;
  for (std::size_t r = 0; r < rows.size(); ++r)
    if (keep(r)) rows[kept++] = rows[r];
  const auto dropped = static_cast<std::int64_t>(rows.size() - kept);
  rows.resize(kept);
  return dropped;
}

/// The same user and item in one part more than once: one of them stays, in its own place.
std::int64_t drop_duplicates(const InteractionOptions& options, std::vector<InteractionRow>& rows) {
  std::vector<std::int64_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(
      order, {}, [&](std::int64_t r) { return std::tuple(rows[r].part, rows[r].user, rows[r].item, rows[r].time); });
  const auto is_same = [&](std::int64_t a, std::int64_t b) {
    return std::tuple(rows[a].part, rows[a].user, rows[a].item) == std::tuple(rows[b].part, rows[b].user, rows[b].item);
  };
  std::vector<char> stays(rows.size(), 1);
  for (std::size_t i = 1; i < order.size(); ++i)
    if (is_same(order[i - 1], order[i])) stays[order[options.duplicates == Duplicates::first ? i : i - 1]] = 0;
  return drop_unless(rows, [&](std::size_t r) { return stays[r] != 0; });
}

/// Training rows of each user or item.
std::vector<std::int64_t> training_rows(const std::vector<InteractionRow>& rows, std::int64_t InteractionRow::*id) {
  std::vector<std::int64_t> counts;
  for (const auto& row : rows) {
    if (static_cast<std::size_t>(row.*id) >= counts.size()) counts.resize(static_cast<std::size_t>(row.*id) + 1, 0);
    if (row.part == Part::train) ++counts[row.*id];
  }
  return counts;
}

/// One pass of the smallest counts over the training rows; how many rows went.
std::int64_t drop_rare(const InteractionOptions& options, std::vector<InteractionRow>& rows) {
  if (options.min_user_count <= 1 && options.min_item_count <= 1) return 0;
  const auto users = training_rows(rows, &InteractionRow::user), items = training_rows(rows, &InteractionRow::item);
  return drop_unless(rows, [&](std::size_t r) {
    return rows[r].part != Part::train ||
           (users[rows[r].user] >= options.min_user_count && items[rows[r].item] >= options.min_item_count);
  });
}

}  // namespace

std::int64_t IdNumbers::number(std::string_view name) {
  // Files by user name the same one again and again, and a look into a map of millions misses every cache.
  if (latest_ != nullptr && latest_->first == name) return latest_->second;
  auto found = numbers_.find(name);
  if (found == numbers_.end())
    found = numbers_.emplace(std::string(name), static_cast<std::int64_t>(numbers_.size())).first;
  latest_ = &*found;
  return found->second;
}

IdList IdNumbers::sorted(std::vector<std::int64_t>& renumber) const {
  std::vector<std::string> names;
  names.reserve(numbers_.size());
  for (const auto& [name, number] : numbers_) names.push_back(name);
  IdList list(std::move(names));
  renumber.resize(numbers_.size());
  for (std::int64_t id = 0; id < list.size(); ++id) renumber[numbers_.at(list.name(id))] = id;
  return list;
}

void read_interactions(const InteractionOptions& options, const std::string& key, std::span<const InputFile> files,
                       Part part, BadRows& bad_rows, const std::function<void()>& tick, IdNumbers& users,
                       IdNumbers& items, InteractionRows& all, Interactions& counts) {
  std::int64_t rows = 0, bad = 0;
  for (const InputFile& file : files) {
    TableReader table(file.path, options.files.delimiter);
    const Columns columns = columns_of(table, options, part, all);
    all.has_ratings = all.has_ratings && columns.rating.has_value();
    all.has_times = all.has_times && columns.time.has_value();
    BadCell cell;
    for (auto next = table.next(cell); next != TableReader::Next::end; next = table.next(cell)) {
      if (++rows % kRowsPerTick == 0) tick();
      InteractionRow row{.part = part};
      if (next == TableReader::Next::row) {
        const auto fault = read_row(table, columns, row);
        if (!fault) {
          row.user = users.number(table.field(columns.user));
          row.item = items.number(table.field(columns.item));
          if (!columns.texts.empty() && part == Part::train) {
            row.text = std::ssize(all.texts);
            auto& texts = all.texts.emplace_back();
            for (const auto& column : columns.texts) texts.emplace_back(column ? table.field(*column) : "");
          }
          all.rows.push_back(row);
          continue;
        }
        cell = *fault;
      }
      ++bad;
      bad_rows.add(file.path, cell);
    }
  }
  check_unchanged({files.begin(), files.end()});
  const std::string first = files.front().path.string();
  if (rows == 0) throw Error{ExitCode::data, fmt::format("{} holds no rows", key), first, "name files with rows"};
  bad_rows.check_fraction(rows, bad);
  if (rows == bad) throw Error{ExitCode::data, fmt::format("every row of {} is bad", key), first, "see quarantine.tsv"};
  counts.rows_read += rows;
  counts.rows_quarantined += bad;
}

void filter_interactions(const InteractionOptions& options, InteractionRows& all, Interactions& counts) {
  auto& rows = all.rows;
  if (options.min_rating) {
    if (!all.has_ratings)
      throw Error{ExitCode::usage, "data.min_rating is set and the files have no rating", "data.min_rating",
                  "name the column: data.columns.rating=COLUMN"};
    counts.rows_below_min_rating =
        drop_unless(rows, [&](std::size_t r) { return rows[r].rating >= *options.min_rating; });
  }
  if (options.duplicates != Duplicates::keep) counts.rows_duplicate = drop_duplicates(options, rows);
  if (options.duplicates == Duplicates::fail && counts.rows_duplicate > 0)
    throw Error{ExitCode::data, fmt::format("{} rows repeat a user and item", counts.rows_duplicate), "data.train",
                "correct the files, or set data.duplicates to first, last or keep"};
  for (std::int64_t dropped = 1; dropped > 0;) {
    dropped = drop_rare(options, rows);
    counts.rows_filtered += dropped;
    if (!options.repeats_filters) break;
  }
  if (std::ranges::count(rows, Part::train, &InteractionRow::part) == 0)
    throw Error{ExitCode::data, "the filters leave no row to train on", "data.train",
                "lower data.min_rating, data.min_user_count or data.min_item_count"};
}

void split_interactions(const InteractionOptions& options, InteractionRows& all) {
  if (options.split == SplitBy::none) return;
  auto& rows = all.rows;
  const double validation = options.files.split_validation, test = options.files.split_test;
  const std::uint64_t seed = options.files.seed;
  const auto by_draw = [&](std::uint64_t key) {
    const double draw = random::uniform(random::bits(seed, random::purpose("data split"), key));
    return draw < validation ? Part::validation : draw < validation + test ? Part::test : Part::train;
  };
  // The last shares of a stretch: validation before test.
  const auto by_end = [&](std::span<const std::int64_t> stretch) {
    const auto size = static_cast<double>(stretch.size());
    const auto tests = static_cast<std::size_t>(std::llround(size * test));
    const auto held_out = std::min(stretch.size(), tests + static_cast<std::size_t>(std::llround(size * validation)));
    for (std::size_t i = stretch.size() - held_out; i < stretch.size(); ++i)
      rows[stretch[i]].part = i < stretch.size() - tests ? Part::validation : Part::test;
  };
  std::vector<std::int64_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::erase_if(order, [&](std::int64_t r) { return rows[r].part != Part::train; });
  const auto keep_train = order;
  switch (options.split) {
    case SplitBy::random:
      for (const std::int64_t r : keep_train) rows[r].part = by_draw(static_cast<std::uint64_t>(r));
      break;
    case SplitBy::user:
      for (const std::int64_t r : keep_train) rows[r].part = by_draw(static_cast<std::uint64_t>(rows[r].user));
      break;
    case SplitBy::time:
      std::ranges::stable_sort(order, {}, [&](std::int64_t r) { return rows[r].time; });
      by_end(order);
      break;
    case SplitBy::order:
      by_end(order);
      break;
    case SplitBy::user_time:
    case SplitBy::leave_one_out: {
      const auto sorted = by_user_and_time(rows, Part::train);
      for_each_user(rows, sorted, [&](std::span<const std::int64_t> stretch) {
        if (options.split == SplitBy::user_time) return by_end(stretch);
        // Who has one interaction trains on it; who has two is not validated.
        if (stretch.size() > 1) rows[stretch.back()].part = Part::test;
        if (stretch.size() > 2) rows[stretch[stretch.size() - 2]].part = Part::validation;
      });
      break;
    }
    case SplitBy::none:
      break;
  }
}

void fold_interactions(const InteractionOptions& options, InteractionRows& all) {
  const FoldOptions& about = options.files.folds;
  if (!about.is_on()) return;
  auto& rows = all.rows;
  // By user and time, so that neither the order of the files nor their division decides; forward chaining by time.
  std::vector<std::int64_t> order = by_user_and_time(rows);
  if (about.by == FoldBy::time) std::ranges::stable_sort(order, {}, [&](std::int64_t r) { return rows[r].time; });
  std::erase_if(order, [&](std::int64_t r) { return rows[r].part == Part::test; });
  Folds folds(about, static_cast<std::int64_t>(order.size()));
  std::vector<char> stays(rows.size(), 1);
  for (const std::int64_t r : order) {
    const auto part = folds.part(static_cast<std::uint64_t>(rows[r].user));
    if (part)
      rows[r].part = *part;
    else
      stays[r] = 0;
  }
  drop_unless(rows, [&](std::size_t r) { return stays[r] != 0; });
}

std::int64_t cut_histories(const InteractionOptions& options, InteractionRows& all) {
  if (!options.max_history) return 0;
  auto& rows = all.rows;
  const std::vector<std::int64_t> order = by_user_and_time(rows, Part::train);
  std::vector<char> stays(rows.size(), 1);
  for_each_user(rows, order, [&](std::span<const std::int64_t> stretch) {
    const std::size_t most = std::min(stretch.size(), static_cast<std::size_t>(*options.max_history));
    const auto gone = options.keeps_latest ? stretch.first(stretch.size() - most) : stretch.subspan(most);
    for (const std::int64_t r : gone) stays[r] = 0;
  });
  return drop_unless(rows, [&](std::size_t r) { return stays[r] != 0; });
}

std::vector<SideColumn> item_columns_of(const InteractionRows& all, std::int64_t items) {
  std::vector<SideColumn> columns;
  for (const std::string& name : all.text_columns) {
    SideColumn column{.name = name, .kind = SideColumn::Kind::text};
    column.texts.resize(static_cast<std::size_t>(items));
    columns.push_back(std::move(column));
  }
  for (const InteractionRow& row : all.rows) {
    if (row.part != Part::train || row.text < 0) continue;
    const auto& texts = all.texts[row.text];
    for (std::size_t c = 0; c < texts.size(); ++c) {
      std::string& text = columns[c].texts[row.item];
      if (texts[c].empty() || text.size() + texts[c].size() >= kMostItemText) continue;
      if (!text.empty()) text += '\n';
      text += texts[c];
    }
  }
  return columns;
}

Histories histories_of(const InteractionRows& all, Part part, std::int64_t users) {
  Histories histories;
  histories.offsets.assign(static_cast<std::size_t>(users) + 1, 0);
  for (const std::int64_t r : by_user_and_time(all.rows, part)) {
    const InteractionRow& row = all.rows[r];
    ++histories.offsets[row.user + 1];
    histories.items.push_back(row.item);
    histories.ratings.push_back(row.rating);
    histories.times.push_back(row.time);
  }
  std::partial_sum(histories.offsets.begin(), histories.offsets.end(), histories.offsets.begin());
  return histories;
}

}  // namespace swallowtail
