// The whole way from files of interactions to histories by external id.
#include "trainer/data/interactions.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "parallel/local_communicator.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/interactions_archive.h"

namespace swallowtail {
namespace {

using test::read_text;
using test::shared_data;
using test::TemporaryDirectory;

Interactions open(const TemporaryDirectory& directory, const std::string& yaml,
                  InteractionsFrom from = InteractionsFrom::sources) {
  const auto experiment = Experiment::parse(yaml, {}, "experiment.yaml", directory.path());
  const auto rank = make_single_rank();
  return open_interactions(experiment, directory.path() / "run", *rank, from);
}

Error error_of(const TemporaryDirectory& directory, const std::string& yaml,
               InteractionsFrom from = InteractionsFrom::sources) {
  try {
    open(directory, yaml, from);
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error from\n" << yaml;
  return Error{ExitCode::done, ""};
}

/// "user: item item | user: item", in the order of the lists.
std::string words(const Interactions& data, const Histories& part) {
  std::string text;
  for (std::int64_t user = 0; user < part.users(); ++user) {
    if (part.count(user) == 0) continue;
    text += (text.empty() ? "" : " | ") + data.users.name(user) + ":";
    for (const std::int64_t item : part.of(user)) text += " " + data.items.name(item);
  }
  return text;
}

constexpr auto kRows =
    "user,item,rating,timestamp\n"
    "10,a,5,30\n"
    "2,b,4,10\n"
    "10,b,1,10\n"
    "10,c,3,30\n"
    "2,a,2,5\n"
    "10,d,4,20\n"
    "7,c,5,1\n";
const std::string kYaml = "data: {source: interactions, train: rows.csv";

TEST(Interactions, HistoriesAreInTimeOrderAndTiesInFileOrder) {
  TemporaryDirectory directory;
  directory.write("rows.csv", kRows);
  const Interactions data = open(directory, kYaml + "}");
  EXPECT_EQ(data.users.names(), (std::vector<std::string>{"2", "7", "10"}));  // by value
  EXPECT_EQ(data.items.names(), (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(words(data, data.train), "2: a b | 7: c | 10: b d a c");
  EXPECT_EQ(data.train.ratings, (std::vector<float>{2, 4, 5, 1, 4, 5, 3}));
  EXPECT_EQ(data.train.times, (std::vector<double>{5, 10, 1, 10, 20, 30, 30}));
  EXPECT_EQ(data.rows_read, 7);
  EXPECT_FALSE(data.has_validation());
  EXPECT_EQ(data.users.find("10"), 2);
  EXPECT_EQ(data.users.find("010"), kColdId);
  EXPECT_EQ(data.items.find("z"), kColdId);
  EXPECT_EQ(item_counts(data.train, data.items.size()), (std::vector<std::int64_t>{2, 2, 2, 1}));
}

TEST(Interactions, ColumnsAreFoundByNameTypeAndOrder) {
  TemporaryDirectory directory;
  directory.write("rows.csv", "timestamp:float\titem_id:token\tuser_id:token\n3\tx\tu\n1\ty\tu\n");
  EXPECT_EQ(words(open(directory, kYaml + "}"), open(directory, kYaml + "}").train), "u: y x");
  directory.write("rows.csv", "when;film;who\n3;x;u\n1;y;u\n");
  const std::string named = kYaml + ", columns: {user: who, item: {name: film}, timestamp: when}}";
  const Interactions data = open(directory, named);
  EXPECT_EQ(words(data, data.train), "u: y x");
  EXPECT_FALSE(data.has_ratings);
  EXPECT_TRUE(data.has_times);
  EXPECT_NE(error_of(directory, kYaml + ", columns: {user: woh, item: film}}").message().find("'who'"),
            std::string::npos);
  EXPECT_NE(error_of(directory, kYaml + ", columns: {usr: who}}").message().find("'user'"), std::string::npos);
  const Error missing = error_of(directory, kYaml + "}");
  EXPECT_EQ(missing.code(), ExitCode::usage);
  EXPECT_NE(missing.message().find("data.columns.user"), std::string::npos);
}

TEST(Interactions, WithoutTimesTheFileIsTheOrder) {
  TemporaryDirectory directory;
  directory.write("rows.csv", "user,item\nu,z\nu,a\nu,m\n");
  const Interactions data = open(directory, kYaml + ", split: {by: leave_one_out}}");
  EXPECT_FALSE(data.has_times);
  EXPECT_EQ(words(data, data.train), "u: z");
  EXPECT_EQ(words(data, data.validation), "u: a");
  EXPECT_EQ(words(data, data.test), "u: m");
}

TEST(Interactions, BadRowsAreQuarantinedWithTheirPlaceOrFail) {
  TemporaryDirectory directory;
  directory.write("rows.csv", "user,item,rating\nu,a,5\n,b,1\nu,,2\nu,c,high\nu,d\nu,e,nan\nv,f,3\n");
  const Interactions data = open(directory, kYaml + ", max_bad_fraction: 1}");
  EXPECT_EQ(words(data, data.train), "u: a | v: f");
  EXPECT_EQ(data.rows_read, 7);
  EXPECT_EQ(data.rows_quarantined, 5);
  const std::string quarantine = read_text(directory.path() / "run" / "quarantine.tsv");
  for (const char* place : {"\t3\t1\t\tthe id is empty", "\t4\t2\t\tthe id is empty", "\t5\t3\thigh\tnot a number",
                            "\t6\t2\td\t2 fields where the header has 3", "\t7\t3\tnan\tnot a finite number"})
    EXPECT_NE(quarantine.find(place), std::string::npos) << place;
  const Error first = error_of(directory, kYaml + ", on_bad_row: fail}");
  EXPECT_EQ(first.code(), ExitCode::data);
  EXPECT_NE(first.where().find("rows.csv:3:1"), std::string::npos);
  EXPECT_EQ(error_of(directory, kYaml + ", max_bad_fraction: 0.5}").code(), ExitCode::data);
  directory.write("rows.csv", "user,item\n,\n");
  EXPECT_EQ(error_of(directory, kYaml + ", max_bad_fraction: 1}").code(), ExitCode::data);
  directory.write("rows.csv", "user,item\n");
  EXPECT_EQ(error_of(directory, kYaml + "}").code(), ExitCode::data);
}

TEST(Interactions, DuplicatesStayAsAskedFor) {
  TemporaryDirectory directory;
  directory.write("rows.csv", "user,item,rating,timestamp\nu,a,1,10\nu,b,2,20\nu,a,3,30\nv,a,4,5\n");
  const auto kept = [&](const std::string& policy) { return open(directory, kYaml + ", duplicates: " + policy + "}"); };
  EXPECT_EQ(words(kept("last"), kept("last").train), "u: b a | v: a");
  EXPECT_EQ(kept("last").rows_duplicate, 1);
  EXPECT_EQ(words(kept("first"), kept("first").train), "u: a b | v: a");
  EXPECT_EQ(words(kept("keep"), kept("keep").train), "u: a b a | v: a");
  EXPECT_EQ(error_of(directory, kYaml + ", duplicates: fail}").code(), ExitCode::data);
}

TEST(Interactions, ThresholdAndCores) {
  TemporaryDirectory directory;
  directory.write("rows.csv", kRows);
  const Interactions liked = open(directory, kYaml + ", min_rating: 4}");
  EXPECT_EQ(words(liked, liked.train), "2: b | 7: c | 10: d a");
  EXPECT_EQ(liked.rows_below_min_rating, 3);
  // Once: item d (1 row) and user 7 (1 row) go, and item c keeps 10's row; repeated: c is alone now and goes too.
  const std::string counts = kYaml + ", min_user_count: 2, min_item_count: 2";
  const Interactions once = open(directory, counts + ", repeat_filters: false}");
  EXPECT_EQ(words(once, once.train), "2: a b | 10: b a c");
  const Interactions core = open(directory, counts + "}");
  EXPECT_EQ(words(core, core.train), "2: a b | 10: b a");
  EXPECT_EQ(core.items.names(), (std::vector<std::string>{"a", "b"}));  // what is filtered away is in no list
  EXPECT_EQ(core.rows_filtered, 3);
  EXPECT_EQ(error_of(directory, kYaml + ", min_user_count: 9}").code(), ExitCode::data);
}

TEST(Interactions, TrainingHistoriesAreCutAfterTheSplit) {
  TemporaryDirectory directory;
  directory.write("rows.csv", kRows);
  const auto cut = [&](const std::string& how) { return open(directory, kYaml + how + "}"); };
  EXPECT_EQ(words(cut(", max_history: 2"), cut(", max_history: 2").train), "2: a b | 7: c | 10: a c");
  const Interactions first = cut(", max_history: 2, max_history_of: first");
  EXPECT_EQ(words(first, first.train), "2: a b | 7: c | 10: b d");
  EXPECT_EQ(first.train.ratings, (std::vector<float>{2, 4, 5, 1, 4}));
  // The parts that are held out and the catalogue are those of whole histories.
  const Interactions whole = cut(", split: {by: leave_one_out}"),
                     split = cut(", max_history: 1, split: {by: leave_one_out}");
  EXPECT_EQ(words(whole, whole.train), "2: a | 7: c | 10: b d");
  EXPECT_EQ(words(split, split.train), "2: a | 7: c | 10: d");
  EXPECT_EQ(words(split, split.validation), words(whole, whole.validation));
  EXPECT_EQ(words(split, split.test), words(whole, whole.test));
  EXPECT_EQ(split.items.names(), whole.items.names());
  EXPECT_NE(split.fingerprint, whole.fingerprint);
  EXPECT_EQ(std::ranges::count_if(
                split.notes, [](const std::string& note) { return note.find("max_history") != std::string::npos; }),
            1);
  EXPECT_EQ(words(cut(", max_history: 9"), cut(", max_history: 9").train), "2: a b | 7: c | 10: b d a c");
  EXPECT_EQ(error_of(directory, kYaml + ", max_history: 0}").code(), ExitCode::usage);
}

TEST(Interactions, EverySplitGivesEachRowToOnePart) {
  TemporaryDirectory directory;
  std::string rows = "user,item,timestamp\n";
  for (int u = 0; u < 20; ++u)
    for (int i = 0; i < 10; ++i) rows += fmt::format("u{},i{},{}\n", u, (i * 7 + u) % 30, (i * 37 + u * 13) % 101);
  directory.write("rows.csv", rows);
  std::set<std::string> seen;
  for (const char* by : {"random", "order", "time", "user_time", "user"}) {
    const Interactions data =
        open(directory, kYaml + fmt::format(", split: {{by: {}, validation: 0.2, test: 0.3}}}}", by));
    EXPECT_EQ(data.train.size() + data.validation.size() + data.test.size(), 200) << by;
    EXPECT_GT(data.validation.size(), 0) << by;
    EXPECT_GT(data.test.size(), 0) << by;
    EXPECT_TRUE(seen.insert(words(data, data.test)).second) << by << " is another split";
    if (std::string_view(by) == "user_time")
      for (int u = 0; u < 20; ++u) {
        EXPECT_EQ(data.test.count(u), 3);
        EXPECT_EQ(data.validation.count(u), 2);
        EXPECT_LE(data.train.times[data.train.offsets[u + 1] - 1], data.validation.times[data.validation.offsets[u]]);
        EXPECT_LE(data.validation.times[data.validation.offsets[u + 1] - 1], data.test.times[data.test.offsets[u]]);
      }
    if (std::string_view(by) == "time") {
      EXPECT_EQ(data.test.size(), 60);
      EXPECT_LE(std::ranges::max(data.train.times), std::ranges::min(data.validation.times));
      EXPECT_LE(std::ranges::max(data.validation.times), std::ranges::min(data.test.times));
    }
    for (int u = 0; u < 20 && std::string_view(by) == "user"; ++u)
      EXPECT_EQ((data.train.count(u) > 0) + (data.validation.count(u) > 0) + (data.test.count(u) > 0), 1);
  }
  directory.write("one.csv", "user,item\nu,a\nv,a\nv,b\n");
  const Interactions few = open(directory, "data: {source: interactions, train: one.csv, split: {by: leave_one_out}}");
  EXPECT_EQ(words(few, few.train), "u: a | v: a");
  EXPECT_EQ(words(few, few.test), "v: b");
  EXPECT_FALSE(few.has_validation());
}

TEST(Interactions, GivenPartsKnowColdUsersAndItems) {
  TemporaryDirectory directory;
  directory.write("rows.csv", "user,item\nu,a\n");
  directory.write("test.csv", "user,item\nu,new\nstranger,a\n");
  const Interactions data = open(directory, kYaml + ", test: test.csv}");
  EXPECT_EQ(words(data, data.test), "stranger: a | u: new");
  EXPECT_EQ(data.train.count(data.users.find("stranger")), 0);
  EXPECT_EQ(item_counts(data.train, data.items.size())[data.items.find("new")], 0);
  EXPECT_EQ(error_of(directory, kYaml + ", test: test.csv, split: {by: leave_one_out}}").code(), ExitCode::usage);
}

TEST(Interactions, SideTablesBecomeColumnsById) {
  TemporaryDirectory directory;
  directory.write("rows.csv", "user,item\nu,b\nu,a\n");
  directory.write("users.csv", "user_id:token\tage:token\tgender:token\nw\t20\tF\nu\t?\tM\n");
  directory.write("items.csv",
                  "item,year,tags,title,kind\n"
                  "b,1990,x|y|x,\"A long, long title\",k\n"
                  "a,,y,Another one with words,\n"
                  "a,1,y,again,k\n");
  const Interactions data = open(directory, kYaml +
                                                ", users: users.csv, items: items.csv, dense: [age], max_bad_fraction: "
                                                "0.5}");
  EXPECT_EQ(data.users.names(), (std::vector<std::string>{"u", "w"}));
  ASSERT_EQ(data.user_table.columns.size(), 2U);
  const auto& age = data.user_table.columns[0];
  EXPECT_EQ(age.kind, SideColumn::Kind::number);
  EXPECT_TRUE(std::isnan(age.numbers[0]));
  EXPECT_EQ(age.numbers[1], 20);
  EXPECT_EQ(data.user_table.columns[1].categories, (std::vector<std::string>{"F", "M"}));
  EXPECT_EQ(data.user_table.columns[1].codes, (std::vector<std::int64_t>{1, 0}));
  const auto& year = *data.item_table.find("year");
  EXPECT_EQ(year.kind, SideColumn::Kind::number);
  EXPECT_TRUE(std::isnan(year.numbers[0]));
  const auto& tags = *data.item_table.find("tags");
  EXPECT_EQ(tags.kind, SideColumn::Kind::multi);
  EXPECT_EQ(tags.offsets, (std::vector<std::int64_t>{0, 1, 3}));
  EXPECT_EQ(tags.codes, (std::vector<std::int64_t>{1, 0, 1}));
  EXPECT_EQ(data.item_table.find("title")->kind, SideColumn::Kind::text);
  EXPECT_EQ(data.item_table.find("title")->texts[1], "A long, long title");
  EXPECT_EQ(data.item_table.find("kind")->offsets, (std::vector<std::int64_t>{0, 0, 1}));
  EXPECT_EQ(data.rows_quarantined, 1);  // the second row of item a
  EXPECT_NE(error_of(directory, kYaml + ", users: users.csv, dense: [agee]}").message().find("'age'"),
            std::string::npos);
}

TEST(Interactions, TheStoreOfARunOutlivesTheFiles) {
  TemporaryDirectory directory;
  directory.write("rows.csv", kRows);
  const std::string yaml = kYaml + ", split: {by: leave_one_out}}";
  const Interactions first = open(directory, yaml);
  directory.write("rows.csv", "user,item\nother,thing\n");
  const Interactions stored = open(directory, yaml, InteractionsFrom::run);
  EXPECT_EQ(words(stored, stored.test), words(first, first.test));
  EXPECT_EQ(stored.fingerprint, first.fingerprint);
  EXPECT_NE(open(directory, yaml, InteractionsFrom::either).fingerprint, first.fingerprint);

  const auto store = directory.path() / "run" / "prepared" / "interactions.bin";
  const std::string whole = read_text(store);
  for (std::size_t byte = 0; byte < whole.size(); byte += 7) {
    std::string damaged = whole;
    damaged[byte] ^= 1;
    directory.write("run/prepared/interactions.bin", damaged);
    EXPECT_EQ(error_of(directory, yaml, InteractionsFrom::run).code(), ExitCode::damaged) << byte;
  }
  directory.write("run/prepared/interactions.bin", whole.substr(0, whole.size() / 2));
  EXPECT_EQ(error_of(directory, yaml, InteractionsFrom::run).code(), ExitCode::damaged);
}

TEST(Interactions, BytesThatLieAboutTheirLengthAreRefused) {
  TemporaryDirectory directory;
  directory.write("rows.csv", kRows);
  directory.write("items.csv", "item,tags\na,x|y\nb,y\n");
  const auto bytes = to_bytes(open(directory, kYaml + ", items: items.csv}"));
  EXPECT_EQ(to_bytes(from_bytes(bytes, "store")), bytes);
  std::int64_t refused = 0;
  for (std::size_t byte = 0; byte < bytes.size(); ++byte)
    for (const int flip : {0x01, 0x80, 0xff}) {
      auto changed = bytes;
      changed[byte] ^= static_cast<std::byte>(flip);
      try {
        from_bytes(changed, "store");  // a changed rating is still a rating
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::damaged);
        ++refused;
      }
    }
  EXPECT_GT(refused, static_cast<std::int64_t>(bytes.size()));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(from_bytes(std::span(bytes).first(size), "store"), Error) << size;
}

TEST(Interactions, EveryRankHasTheSame) {
  TemporaryDirectory directory;
  directory.write("rows.csv", kRows);
  const auto experiment =
      Experiment::parse(kYaml + ", split: {by: random, test: 0.4}}", {}, "e.yaml", directory.path());
  const auto bytes = to_bytes(open(directory, kYaml + ", split: {by: random, test: 0.4}}"));
  run_ranks(3, [&](Communicator& ranks) {
    EXPECT_EQ(to_bytes(open_interactions(experiment, directory.path() / "run", ranks)), bytes);
  });
}

TEST(Interactions, LeaveOneOutOfMl100kEqualsTheFixedSplit) {
  const auto folder = shared_data("ml-100k");
  if (folder.empty()) GTEST_SKIP() << "no ml-100k beside the checkout";
  TemporaryDirectory directory;
  const std::string source = fmt::format("data: {{source: interactions, train: {}/", folder.string());
  const Interactions split = open(directory, source + "ml-100k.inter, split: {by: leave_one_out}}");
  const Interactions given = open(directory, source + fmt::format("loo/train.tsv, validation: {0}/loo/validation.tsv, "
                                                                  "test: {0}/loo/test.tsv, items: {0}/ml-100k.item, "
                                                                  "users: {0}/ml-100k.user}}",
                                                                  folder.string()));
  EXPECT_EQ(given.users.size(), 943);
  EXPECT_EQ(given.items.size(), 1682);
  EXPECT_EQ(given.items.name(0), "1");
  EXPECT_EQ(given.items.name(1681), "1682");
  EXPECT_EQ(given.train.size(), 98114);
  EXPECT_EQ(split.train.items, given.train.items);
  EXPECT_EQ(split.validation.items, given.validation.items);
  EXPECT_EQ(split.test.items, given.test.items);
  EXPECT_EQ(given.item_table.find("class")->categories.size(), 19U);
  EXPECT_EQ(given.user_table.find("occupation")->categories.size(), 21U);
}

}  // namespace
}  // namespace swallowtail
