// open_interactions(): from the files that an experiment names to the same Interactions on every rank.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <system_error>

#include "trainer/data/input_files.h"
#include "trainer/data/interaction_rows.h"
#include "trainer/data/interactions.h"
#include "trainer/data/interactions_archive.h"
#include "trainer/data/side_table.h"
#include "trainer/data/table_reader.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {

constexpr auto kBeat = std::chrono::seconds(5);

/// The files of every key that names some.
using Sources = std::map<std::string, std::vector<InputFile>>;

Sources sources_of(const InteractionOptions& options, const std::function<void()>& tick) {
  Sources sources;
  const std::pair<const char*, const std::vector<std::filesystem::path>*> keys[] = {
      {"data.train", &options.files.train}, {"data.validation", &options.files.validation},
      {"data.test", &options.files.test},   {"data.users", &options.users},
      {"data.items", &options.items},       {"data.candidates", &options.candidates}};
  for (const auto& [key, patterns] : keys)
    if (!patterns->empty()) sources[key] = digest_files(expand_paths(*patterns, key), tick);
  return sources;
}

std::string fingerprint_of(const InteractionOptions& options, const Sources& sources) {
  std::string text = interaction_options_text(options);
  for (const auto& [key, files] : sources) {
    text += '\n' + key;
    for (const InputFile& file : files) text += fmt::format(" {} {}", file.bytes, file.sha256);
  }
  return sha256(text);
}

/// user, true item, negatives: a list of items a user, all of one catalogue. Errors: usage for an unknown item.
Histories read_candidates(const InteractionOptions& options, std::span<const InputFile> files,
                          const Interactions& known) {
  std::vector<std::vector<std::int64_t>> lists(static_cast<std::size_t>(known.users.size()));
  for (const InputFile& file : files) {
    TableReader table(file.path, options.files.delimiter);
    const auto user_column = table.find(options.user, {"user", "user_id"});
    if (!user_column || table.header().size() < 2)
      throw Error{ExitCode::usage, "candidates need a column of the user and columns of items",
                  fmt::format("{}:1", file.path.string()), "give it a header: user, true_item, negative_1, …"};
    BadCell bad;
    for (auto next = table.next(bad); next != TableReader::Next::end; next = table.next(bad)) {
      const auto fail = [&](const BadCell& cell) {
        return Error{ExitCode::data, fmt::format("bad value '{}': {}", escape_value(cell.value, 60), cell.reason),
                     fmt::format("{}:{}:{}", file.path.string(), cell.line, cell.column),
                     "correct the file: figures on part of the candidates would compare with nothing"};
      };
      if (next == TableReader::Next::bad) throw fail(bad);
      const std::int64_t user = known.users.find(table.field(*user_column));
      if (user == kColdId) throw fail(table.refuse(*user_column, "the user is in no part"));
      for (std::size_t column = 0; column < table.header().size(); ++column) {
        if (column == *user_column) continue;
        const std::int64_t item = known.items.find(table.field(column));
        if (item == kColdId) throw fail(table.refuse(column, "the item is not in the catalogue"));
        lists[user].push_back(item);
      }
    }
  }
  Histories candidates;
  for (auto& list : lists) {
    std::ranges::sort(list);
    list.erase(std::unique(list.begin(), list.end()), list.end());
    candidates.items.insert(candidates.items.end(), list.begin(), list.end());
    candidates.offsets.push_back(candidates.size());
  }
  candidates.ratings.assign(candidates.items.size(), 1.0F);
  candidates.times.assign(candidates.items.size(), 0.0);
  return candidates;
}

/// The numbers that `rows` still use stay, the others have been filtered away: their ids leave the lists.
IdList remaining(const IdNumbers& numbers, std::int64_t InteractionRow::*id, InteractionRows& all,
                 const SideRows& side) {
  std::vector<std::int64_t> place;
  const IdList every = numbers.sorted(place);
  std::vector<char> is_used(static_cast<std::size_t>(every.size()), 0);
  for (const auto& row : all.rows) is_used[place[row.*id]] = 1;
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < every.size(); ++i)
    if (is_used[i] != 0) names.push_back(every.name(i));
  for (const auto& name : side.ids)
    if (every.find(name) == kColdId) names.push_back(name);
  IdList list(std::move(names));
  std::vector<std::int64_t> renumber(place.size());
  for (std::size_t n = 0; n < place.size(); ++n) renumber[n] = list.find(every.name(place[n]));
  for (auto& row : all.rows) row.*id = renumber[row.*id];
  return list;
}

Interactions read_sources(const InteractionOptions& options, const Sources& sources,
                          const std::filesystem::path& run_dir, const std::function<void()>& tick) {
  Interactions data;
  BadRows bad_rows(run_dir / "quarantine.tsv", options.files);
  IdNumbers users, items;
  InteractionRows rows;
  for (const auto& [key, part] : {std::pair("data.train", Part::train), std::pair("data.validation", Part::validation),
                                  std::pair("data.test", Part::test)})
    if (sources.contains(key))
      read_interactions(options, key, sources.at(key),
                        options.files.folds.is_on() && part == Part::validation ? Part::train : part, bad_rows, tick,
                        users, items, rows, data);
  filter_interactions(options, rows, data);
  SideRows user_rows, item_rows;
  if (sources.contains("data.users"))
    user_rows = read_side_rows(options, "user", options.user, sources.at("data.users"), bad_rows, tick, data);
  if (sources.contains("data.items"))
    item_rows = read_side_rows(options, "item", options.item, sources.at("data.items"), bad_rows, tick, data);
  bad_rows.commit();

  data.has_ratings = rows.has_ratings;
  data.has_times = rows.has_times;
  data.users = remaining(users, &InteractionRow::user, rows, user_rows);
  data.items = remaining(items, &InteractionRow::item, rows, item_rows);
  split_interactions(options, rows);
  fold_interactions(options, rows);
  if (const std::int64_t cut = cut_histories(options, rows); cut > 0)
    data.notes.push_back(fmt::format("data.max_history: {} training rows of longer histories are left out", cut));
  data.train = histories_of(rows, Part::train, data.users.size());
  data.validation = histories_of(rows, Part::validation, data.users.size());
  data.test = histories_of(rows, Part::test, data.users.size());
  if (data.train.size() == 0)
    throw Error{ExitCode::data, "the training part holds no rows", "data.split", "lower the shares of the other parts"};
  data.candidates.offsets.assign(static_cast<std::size_t>(data.users.size()) + 1, 0);
  if (sources.contains("data.candidates"))
    data.candidates = read_candidates(options, sources.at("data.candidates"), data);
  data.user_table = side_table(options, user_rows, data.users, data.notes);
  data.item_table = side_table(options, item_rows, data.items, data.notes);
  for (SideColumn& column : item_columns_of(rows, data.items.size())) {
    for (const auto* table : {&data.user_table, &data.item_table})
      if (table->find(column.name) != nullptr)
        throw Error{ExitCode::usage,
                    fmt::format("the training files and a side table have a column '{}' each", column.name),
                    "data.text", "rename one of them"};
    data.item_table.columns.push_back(std::move(column));
  }
  check_listed_columns(options, data.user_table, data.item_table);
  return data;
}

/// On rank 0: the bytes of the interactions, from the store or from the sources (then they are stored).
std::vector<std::byte> bytes_of(const Experiment& experiment, const std::filesystem::path& run_dir,
                                InteractionsFrom from, const std::function<void()>& tick) {
  const auto store = run_dir / "prepared" / "interactions.bin";
  if (from == InteractionsFrom::run) return load_interactions(store);
  const InteractionOptions options = interaction_options(experiment);
  const Sources sources = sources_of(options, tick);
  const std::string fingerprint = fingerprint_of(options, sources);
  if (from == InteractionsFrom::either && std::filesystem::exists(store)) {
    auto bytes = load_interactions(store);
    if (from_bytes(bytes, store.string()).fingerprint == fingerprint) return bytes;
  }
  std::error_code failure;
  std::filesystem::create_directories(store.parent_path(), failure);
  if (failure)
    throw Error{ExitCode::resources, fmt::format("cannot create the directory: {}", failure.message()),
                store.parent_path().string(), "check its permission"};
  Interactions data = read_sources(options, sources, run_dir, tick);
  data.fingerprint = fingerprint;
  auto bytes = to_bytes(data);
  store_interactions(store, bytes);
  return bytes;
}

}  // namespace

Interactions open_interactions(const Experiment& experiment, const std::filesystem::path& run_dir, Communicator& ranks,
                               InteractionsFrom from) {
  interaction_options(experiment);  // every rank: the same file is wrong for all
  // Rank 0 tells the others again and again that it is at work: they wait in a collective, which must not time out.
  std::int64_t beat = 0, size = -1;
  const auto tell = [&] {
    ranks.broadcast({.operation = "interactions", .step = beat++}, 0, std::as_writable_bytes(std::span(&size, 1)));
  };
  std::vector<std::byte> bytes;
  if (ranks.rank() == 0) {
    auto last = std::chrono::steady_clock::now();
    bytes = bytes_of(experiment, run_dir, from, [&] {
      if (ranks.world_size() == 1 || std::chrono::steady_clock::now() - last < kBeat) return;
      tell();
      last = std::chrono::steady_clock::now();
    });
    size = static_cast<std::int64_t>(bytes.size());
    tell();
  } else {
    do tell();
    while (size < 0);
    bytes.resize(static_cast<std::size_t>(size));
  }
  ranks.broadcast({.operation = "interactions", .step = beat}, 0, bytes);
  return from_bytes(bytes, (run_dir / "prepared" / "interactions.bin").string());
}

}  // namespace swallowtail
