// Files that were damaged at random: each ends in an Error or in a count of quarantined rows that fits the rest,
// without a crash. What can be read afterwards keeps the promises of batch.h.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>

#include "kernels/random.h"
#include "parallel/error.h"
#include "tests/fuzz/mutate.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/encoding.h"
#include "trainer/data/preparation.h"
#include "trainer/data/prepared_dataset.h"
#include "trainer/data/prepared_layout.h"

namespace swallowtail {
namespace {

using test::read_text;
using test::TemporaryDirectory;

void check_promises(const Dataset& dataset) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.begin(), samples.end(), std::int64_t{0});
  Batch batch;
  dataset.read(samples, batch);
  for (const float value : batch.dense) ASSERT_TRUE(std::isfinite(value));
  for (const float label : batch.labels) ASSERT_TRUE(label == 0 || label == 1);
  for (const float weight : batch.weights) ASSERT_TRUE(std::isfinite(weight) && weight >= 0);
  for (std::size_t f = 0; f < batch.ids.size(); ++f) {
    const auto& ids = batch.ids[f];
    ASSERT_EQ(ids.offsets.size(), samples.size() + 1);
    ASSERT_EQ(ids.offsets.front(), 0);
    ASSERT_EQ(ids.offsets.back(), std::ssize(ids.values));
    ASSERT_TRUE(std::ranges::is_sorted(ids.offsets));
    for (const std::int64_t id : ids.values) ASSERT_TRUE(id >= 0 && id < dataset.shape().categorical[f].rows);
  }
  for (const std::int64_t sample : samples) ASSERT_FALSE(dataset.origin(sample).empty());
}

struct Outcomes {
  int errors = 0, quarantined = 0, clean = 0;
};

/// Prepares every mutation of `text`.
Outcomes prepare_mutations(const std::string& text, DataOptions options, int mutations, std::uint64_t seed) {
  TemporaryDirectory directory;
  options.train = {directory.path() / "data.txt"};
  options.max_bad_fraction = 1;
  Outcomes outcomes;
  for (int i = 0; i < mutations; ++i) {
    directory.write("data.txt", fuzz::mutate(text, seed + static_cast<std::uint64_t>(i)));
    const auto quarantine = directory.path() / "run" / "quarantine.tsv";
    try {
      const auto prepared = prepare(options, directory.path() / "run", false);
      const auto dataset = open_prepared(directory.path() / "run" / "prepared", "train");
      EXPECT_EQ(dataset->size(), prepared.rows_read - prepared.rows_quarantined) << "mutation " << i;
      const std::string lines = std::filesystem::exists(quarantine) ? read_text(quarantine) : "header\n";
      EXPECT_EQ(std::ranges::count(lines, '\n'), 1 + prepared.rows_quarantined) << "mutation " << i;
      check_promises(*dataset);
      ++(prepared.rows_quarantined > 0 ? outcomes.quarantined : outcomes.clean);
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ExitCode::data || error.code() == ExitCode::usage) << error.message();
      EXPECT_FALSE(error.where().empty()) << error.message();
      ++outcomes.errors;
    }
  }
  return outcomes;
}

std::string csv_text() {
  std::string text = "label,age,city,tags,w\n";
  for (int i = 0; i < 30; ++i)
    text += fmt::format("{},{},\"{}\",{},{}\n", i % 2, i % 5 ? fmt::format("{}.5", i) : "?",
                        i % 3 ? "New\nYork, \"\"NY\"\"" : "Rome", i % 4 ? "a|b|c" : "", i % 7);
  return text;
}

DataOptions csv_options() {
  DataOptions options;
  options.dense = options.binned = {"age"};
  options.categorical = {"city"};
  options.multi_hot = {"tags"};
  options.weight = "w";
  return options;
}

TEST(MutatedFiles, Csv) {
  const auto outcomes = prepare_mutations(csv_text(), csv_options(), 300, 1000);
  EXPECT_GT(outcomes.errors, 10);
  EXPECT_GT(outcomes.quarantined, 50);
  EXPECT_GT(outcomes.clean, 20);
}

TEST(MutatedFiles, Criteo) {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += fmt::format("{}", i % 2);
    for (int k = 0; k < 13; ++k) text += (i + k) % 3 ? fmt::format("\t{}", i * k - 2) : "\t";
    for (int k = 0; k < 26; ++k) text += (i + k) % 4 ? fmt::format("\t{:08x}", i * 7919 + k % 5) : "\t";
    text += '\n';
  }
  DataOptions options;
  options.source = "criteo_tsv";
  for (int k = 1; k <= 13; ++k) options.dense.push_back(fmt::format("I{}", k));
  for (int k = 1; k <= 26; ++k) options.categorical.push_back(fmt::format("C{}", k));
  options.max_rows = 10;
  const auto outcomes = prepare_mutations(text, options, 250, 2000);
  EXPECT_GT(outcomes.quarantined, 100);
}

TEST(MutatedFiles, Libfm) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += fmt::format("{} {}:1 {}:0.5 {}\r\n", i % 2 ? 1 : -1, i % 10, 10 + i % 7, 20 + i);
  DataOptions options;
  options.source = "libfm";
  options.field_starts = {0, 10, 20};
  const auto outcomes = prepare_mutations(text, options, 250, 3000);
  EXPECT_GT(outcomes.quarantined, 50);
}

TEST(MutatedFiles, PreparedStoreIsRefusedOrKeepsItsPromises) {
  TemporaryDirectory directory;
  directory.write("data.txt", csv_text());
  auto options = csv_options();
  options.train = {directory.path() / "data.txt"};
  prepare(options, directory.path() / "run", false);
  const auto prepared = directory.path() / "run" / "prepared";
  int refused = 0;
  for (const std::string name : {"train.rows", "train.ids", "train.id_weights", "train.json"}) {
    const std::string good = read_text(prepared / name);
    for (std::uint64_t i = 0; i < 100; ++i) {
      std::string bad = fuzz::mutate(good, 4000 + i);
      if (i % 2 && !good.empty()) {  // of the same length, so that it gets past the check of sizes
        bad = good;
        bad[i * 7919 % bad.size()] = static_cast<char>(random::bits(1, 2, i));
      }
      directory.write("run/prepared/" + name, bad);
      try {
        check_promises(*open_prepared(prepared, "train"));
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::data) << error.message();
        ++refused;
      }
    }
    directory.write("run/prepared/" + name, good);
  }
  EXPECT_GT(refused, 200);
  EXPECT_NO_THROW(check_promises(*open_prepared(prepared, "train")));
}

TEST(MutatedFiles, ManifestMayNotClaimWhatIsNotThere) {
  TemporaryDirectory directory;
  directory.write("data.txt", csv_text());
  auto options = csv_options();
  options.train = {directory.path() / "data.txt"};
  prepare(options, directory.path() / "run", false);
  const auto prepared = directory.path() / "run" / "prepared";
  const auto good = read_manifest(prepared, "train");
  const auto claim = [&](auto change) {  // with a digest that fits
    auto manifest = good;
    change(manifest);
    directory.write("run/prepared/train.json", manifest.to_json());
    try {
      check_promises(*open_prepared(prepared, "train"));
      ADD_FAILURE() << "passed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
    }
  };
  claim([](auto& m) { m.rows = std::int64_t{1} << 60; });
  claim([](auto& m) { m.rows = m.files[kRowsFile].bytes = 0, m.rows = -1; });
  claim([&](auto& m) {  // consistent in itself, but not with the file
    m.rows = std::int64_t{1} << 40;
    m.files[kRowsFile].bytes = m.rows * m.record_bytes();
  });
  claim([](auto& m) { m.ids += std::int64_t{1} << 62; });  // times 4 bytes it would wrap to the right size
  claim([](auto& m) { m.shape.categorical[0].rows = 2; });
  claim([](auto& m) { m.shape.categorical[1].weighted = true; });
  claim([](auto& m) { m.is_one_hot[1] = true; });
  claim([](auto& m) { m.shape.labels.clear(); });
}

TEST(MutatedFiles, EncodingIsRefusedOrStaysInItsRows) {
  TemporaryDirectory directory;
  directory.write("data.txt", csv_text());
  auto options = csv_options();
  options.train = {directory.path() / "data.txt"};
  prepare(options, directory.path() / "run", false);
  const std::string good = read_text(directory.path() / "run" / "prepared" / "encoding.json");
  int refused = 0;
  for (std::uint64_t i = 0; i < 300; ++i) try {
      const auto encoding = Encoding::from_json(fuzz::mutate(good, 5000 + i), "encoding.json");
      for (const auto& feature : encoding.features)
        for (const auto* word : {"Rome", "a", "b", "zzz", ""}) {
          EXPECT_LT(feature.row_of({.text = word}), feature.rows);
          EXPECT_GE(feature.row_of({.text = word}), 0);
        }
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::damaged);
      ++refused;
    }
  EXPECT_GT(refused, 150);
}

#ifndef __SANITIZE_ADDRESS__
TEST(Memory, DoesNotGrowWithRowsAndEndsAtLongLines) {
  TemporaryDirectory directory(std::filesystem::temp_directory_path());  // too large for a small /dev/shm
  {
    std::ofstream file(directory.path() / "big.csv", std::ios::binary);
    file << "label,x,c\n";
    for (int i = 0; i < 2'000'000; ++i) file << (i & 1) << ",1" << i % 1000 << ",category " << i % 50 << '\n';
    file << "1,1," << std::string(std::size_t{150} << 20, 'x') << "\n";  // beyond the 100 MiB of a line
  }
  DataOptions options;
  options.train = {directory.path() / "big.csv"};
  options.dense = options.binned = {"x"};
  options.categorical = {"c"};
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;  // KiB
  };
  const auto before = peak();
  const auto prepared = prepare(options, directory.path() / "run", false);
  EXPECT_EQ(prepared.rows_read, 2'000'001);
  EXPECT_EQ(prepared.rows_quarantined, 1);
  // The line's 100 MiB, twice while the buffer grows, and less than 64 MiB for the rest; the rows alone take 64 MB
  // stored.
  EXPECT_LT(peak() - before, 300 * 1024);
}
#endif

}  // namespace
}  // namespace swallowtail
