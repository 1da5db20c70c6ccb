// Files of interactions and their side tables, the stored interactions of a run, and the metrics that a report reads.
#include <fmt/format.h>

#include <numeric>

#include "tests/fuzz/target.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/interaction_rows.h"
#include "trainer/data/interactions_archive.h"
#include "trainer/data/side_table.h"
#include "trainer/report/metrics_log.h"
#include "trainer/report/run_curves.h"

namespace swallowtail::fuzz {
namespace {

const test::TemporaryDirectory& folder() {
  static const test::TemporaryDirectory one;
  return one;
}

InteractionOptions options_of_test() {
  InteractionOptions options;
  options.files.max_bad_fraction = 1;
  options.files.split_test = 0.25;
  options.split = SplitBy::user_time;
  return options;
}

/// Offsets rise from 0 to the number of items, which are all known.
void check(const Histories& part, std::int64_t users, std::int64_t items) {
  expect(part.offsets.front() == 0 && part.offsets.back() == part.size(), "histories cover their rows");
  expect(std::ranges::is_sorted(part.offsets), "offsets never fall");
  expect(part.users() == users || part.size() == 0, "every user has a history");
  for (const std::int64_t item : part.items) expect(item >= 0 && item < items, "every item is known");
  expect(part.ratings.size() == part.items.size() && part.times.size() == part.items.size(),
         "columns are of one length");
}

struct Read {
  Interactions data;
  std::int64_t bad = 0;
};

Read read_rows(std::string_view input) {
  const InteractionOptions options = options_of_test();
  const std::vector<InputFile> files{{folder().write("rows.csv", input), static_cast<std::int64_t>(input.size()), ""}};
  BadRows bad_rows(folder().path() / "quarantine.tsv", options.files);
  IdNumbers users, items;
  InteractionRows all;
  Read read;
  Interactions& data = read.data;
  read_interactions(
      options, "data.train", files, Part::train, bad_rows, [] {}, users, items, all, data);
  std::vector<std::int64_t> of_users, of_items;
  data.users = users.sorted(of_users);
  data.items = items.sorted(of_items);
  for (InteractionRow& row : all.rows) {
    row.user = of_users[static_cast<std::size_t>(row.user)];
    row.item = of_items[static_cast<std::size_t>(row.item)];
  }
  filter_interactions(options, all, data);
  split_interactions(options, all);
  data.train = histories_of(all, Part::train, data.users.size());
  data.validation = histories_of(all, Part::validation, data.users.size());
  data.test = histories_of(all, Part::test, data.users.size());
  data.candidates.offsets.assign(static_cast<std::size_t>(data.users.size()) + 1, 0);
  data.fingerprint = std::string(64, 'a');
  read.bad = bad_rows.count();
  return read;
}

Verdict judge_rows(std::string_view input) {
  std::int64_t bad = 0;
  const Verdict verdict = taken_unless({ExitCode::data, ExitCode::usage}, [&] {
    const Read read = read_rows(input);
    for (const Histories* part : {&read.data.train, &read.data.test})
      check(*part, read.data.users.size(), read.data.items.size());
    bad = read.bad;
  });
  return bad > 0 ? Verdict::refused : verdict;
}
std::string rows() {
  std::string text = "user_id:token,item_id:token,rating:float,timestamp:float\n";
  for (int i = 0; i < 20; ++i)
    text += fmt::format("{},{},{},{}\n", i % 4 + 1, "abcdefg"[i * 3 % 7], i % 5 + 1, 900 - i * 7);
  return text;
}
std::vector<std::string> row_texts() { return {rows(), "item\tuser\nx\t1\ny\t1\nx\t\"2\"\n"}; }

Verdict judge_side(std::string_view input) {
  const InteractionOptions options = options_of_test();
  const std::vector<InputFile> files{{folder().write("side.csv", input), static_cast<std::int64_t>(input.size()), ""}};
  std::int64_t bad = 0;
  const Verdict verdict = taken_unless({ExitCode::data, ExitCode::usage}, [&] {
    BadRows bad_rows(folder().path() / "quarantine.tsv", options.files);
    Interactions counts;
    const SideRows side = read_side_rows(
        options, "item", "", files, bad_rows, [] {}, counts);
    const SideTable table = side_table(options, side, IdList({"a", "b", "c"}), counts.notes);
    for (const SideColumn& column : table.columns)
      for (const std::int64_t code : column.codes)
        expect(code >= 0 && code < static_cast<std::int64_t>(column.categories.size()), "a code has its category");
    bad = bad_rows.count();
  });
  return bad > 0 ? Verdict::refused : verdict;
}
std::vector<std::string> side_texts() {
  return {
      "item_id:token,genre:token_seq,year:float,title:token_seq\na,Drama Action,1999,the one of the "
      "two\nb,,,\nc,Drama,2001,x y z\n",
      "item,price,colour\na,1,red|blue\nb,2.5,red\n\"c\",?,\"green|red\"\n"};
}

Verdict judge_archive(std::string_view input) {
  return taken_unless({ExitCode::damaged}, [&] {
    const Interactions data = from_bytes(std::as_bytes(std::span(input)), "interactions.bin");
    for (const Histories* part : {&data.train, &data.validation, &data.test})
      check(*part, data.users.size(), data.items.size());
  });
}
std::vector<std::string> archives() {
  const std::vector<std::byte> bytes = to_bytes(read_rows(rows()).data);
  return {std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())};
}

/// metrics.jsonl after a crash: it is read for the plots, and cut where a resumed run goes on. Everything is taken.
Verdict judge_metrics(std::string_view input) {
  const auto path = folder().write("metrics.jsonl", input);
  plots_by_step(path, 3);
  MetricsLog log(path);
  log.truncate_after(3);
  log.append({{"step", 4}, {"loss", 0.5}});
  const std::string text = test::read_text(path);
  expect(text.ends_with("\n"), "the log ends with a whole line");
  return Verdict::taken;
}
std::vector<std::string> metrics() {
  return {
      "{\"step\":1,\"epoch\":0,\"loss\":0.69,\"learning_rate\":0.01,\"samples_per_s\":1e5}\n"
      "{\"step\":2,\"split\":\"validation\",\"auc\":0.75,\"logloss\":0.5}\n{\"step\":5,\"loss\":null}\n{\"st"};
}

constexpr Target kTargets[]{{"interactions", judge_rows, row_texts},
                            {"side_table", judge_side, side_texts},
                            {"interactions_archive", judge_archive, archives},
                            {"metrics", judge_metrics, metrics}};

}  // namespace

std::span<const Target> interaction_targets() { return kTargets; }

}  // namespace swallowtail::fuzz
