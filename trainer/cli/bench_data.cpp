// `bench data`: text to batches, and the prepared store to batches, beside the reading of the same bytes.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "kernels/isa.h"
#include "kernels/random.h"
#include "kernels/stopwatch.h"
#include "trainer/cli/bench.h"
#include "trainer/data/bad_rows.h"
#include "trainer/data/encoding_learner.h"
#include "trainer/data/loader.h"
#include "trainer/data/preparation.h"
#include "trainer/data/prepared_dataset.h"
#include "trainer/data/row_stream.h"
#include "trainer/files/durable_file.h"

namespace swallowtail::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRows = 200'000, kBatch = 2048, kIntegers = 13, kCategories = 26, kBuckets = 1'000'000;
constexpr int kRepeats = 5;

/// A folder that goes with the benchmark, in memory where the machine has such a file system.
class Scratch {
 public:
  Scratch() {
    const fs::path base = fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
    path_ = base / fmt::format("swallowtail-bench-data-{}", getpid());
    fs::create_directories(path_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

/// Rows like those of the Criteo logs: about 285 bytes, heavy tails, a tenth of the fields missing.
std::string criteo_rows(char delimiter) {
  std::string text;
  text.reserve(static_cast<std::size_t>(kRows) * 300);
  for (std::int64_t row = 0; row < kRows; ++row) {
    const auto draw = [&](std::int64_t column) {
      return random::bits(1, random::purpose("bench data"), static_cast<std::uint64_t>(row),
                          static_cast<std::uint64_t>(column));
    };
    text += draw(0) % 4 == 0 ? '1' : '0';
    for (std::int64_t column = 1; column <= kIntegers + kCategories; ++column) {
      const std::uint64_t bits = draw(column);
      text += delimiter;
      if (bits % 10 == 0) continue;
      if (column <= kIntegers)
        text += fmt::format("{}", static_cast<std::int64_t>(1 / (random::uniform(bits) + 1e-5)));
      else
        text += fmt::format("{:08x}", static_cast<std::uint32_t>(bits >> 32) >> (bits % 16));
    }
    text += '\n';
  }
  return text;
}

std::string header() {
  std::string line = "label";
  for (std::int64_t i = 1; i <= kIntegers; ++i) line += fmt::format(",I{}", i);
  for (std::int64_t i = 1; i <= kCategories; ++i) line += fmt::format(",C{}", i);
  return line + "\n";
}

DataOptions options_of(std::string source, const fs::path& file) {
  DataOptions options;
  options.source = std::move(source);
  options.train = {file};
  options.has_missing_indicator = false;
  for (std::int64_t i = 1; i <= kIntegers; ++i) options.dense.push_back(fmt::format("I{}", i));
  for (std::int64_t i = 1; i <= kCategories; ++i) options.categorical.push_back(fmt::format("C{}", i));
  options.defaults.normalize = Normalize::log;
  options.defaults.encoding = IdEncoding::hash;
  options.defaults.hash_buckets = kBuckets;
  return options;
}

/// Takes rows of one id for each of kCategories features into a batch, whose memory is used again.
class BatchFiller {
 public:
  explicit BatchFiller(std::size_t dense) : dense_(dense) {
    batch_.dense.resize(dense * kBatch);
    batch_.labels.resize(kBatch);
    batch_.ids.resize(kCategories);
    for (JaggedIds& ids : batch_.ids) {
      ids.values.resize(kBatch);
      ids.offsets.resize(kBatch + 1);
      std::iota(ids.offsets.begin(), ids.offsets.end(), std::int64_t{0});
    }
  }
  void add(const EncodedRun& run) {
    for (std::size_t row = run.begin; row < run.end;) {
      const auto place = static_cast<std::size_t>(batch_.size);
      const std::size_t count = std::min(run.end - row, static_cast<std::size_t>(kBatch) - place);
      const EncodedView first = run.rows.at(row);
      std::copy_n(first.dense.data(), count * dense_,
                  batch_.dense.begin() + static_cast<std::ptrdiff_t>(place * dense_));
      for (std::size_t r = 0; r < count; ++r) batch_.labels[place + r] = run.rows.label(row + r);
      std::array<std::int64_t*, kCategories> to;
      for (std::size_t f = 0; f < to.size(); ++f) to[f] = batch_.ids[f].values.data() + place;
      const std::int64_t* id = first.ids.data();
      for (std::size_t r = 0; r < count; ++r)
        for (std::int64_t* const of : to) of[r] = *id++;
      row += count;
      batch_.size = static_cast<std::int64_t>(place + count) % kBatch;  // a full one is thrown away
    }
  }

 private:
  std::size_t dense_;
  Batch batch_;
};

/// The file's rows as batches, which are thrown away.
void text_to_batches(const DataOptions& options, const Source& source, const Encoding& encoding, int threads,
                     const fs::path& folder) {
  FileGroup group{.key = "data.train", .files = {{options.train[0], 0, ""}}};
  group.files[0].bytes = static_cast<std::int64_t>(fs::file_size(options.train[0]));
  BadRows bad_rows(folder / "quarantine.tsv", options);
  const std::function<void()> tick = [] {};
  RowStream rows(group, source, bad_rows, threads, tick);
  BatchFiller batches(kIntegers);
  rows.for_each_encoded(encoding, [&](const EncodedRun& run) { batches.add(run); });
}

void read_file(const fs::path& file) {
  std::vector<std::byte> block(std::size_t{1} << 20);
  const FileDescriptor descriptor = open_file(file, O_RDONLY);
  while (::read(descriptor.number(), block.data(), block.size()) > 0) {
  }
}

struct Timings {
  std::vector<double> ours, limit;  // rows a second
};

nlohmann::json result(nlohmann::json shape, Timings timings) {
  std::ranges::sort(timings.ours);
  std::ranges::sort(timings.limit);
  const double median = timings.ours[timings.ours.size() / 2], limit = timings.limit[timings.limit.size() / 2];
  return {{"case", std::move(shape)},
          {"value", median},
          {"unit", "rows/s"},
          {"min", timings.ours.front()},
          {"max", timings.ours.back()},
          {"limit", limit},
          {"limited_by", "page cache read"},
          {"ratio_to_limit", median / limit}};
}

Timings in_turns(const std::function<void()>& work, const fs::path& file) {
  Timings timings;
  for (int repeat = 0; repeat <= kRepeats; ++repeat) {
    const double ours = seconds_of(work), limit = seconds_of([&] { read_file(file); });
    if (repeat == 0) continue;
    timings.ours.push_back(static_cast<double>(kRows) / ours);
    timings.limit.push_back(static_cast<double>(kRows) / limit);
  }
  return timings;
}

BenchReport run(const Arguments& arguments, Ranks& ranks) {
  if (ranks.world_size() > 1)
    throw Error{ExitCode::usage, "bench data measures one process", "command line", "start it without mpirun"};
  const std::string_view only = arguments.value("only", "");
  const Scratch scratch;
  BenchReport report;
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<int> thread_counts{1};
  if (cores > 1) thread_counts.push_back(cores);
  DataOptions prepared_from;
  for (const std::string name : {"criteo_tsv", "csv"}) {
    const fs::path file = scratch.path() / (name + ".txt");
    write_atomically(file, name == "csv" ? header() + criteo_rows(',') : criteo_rows('\t'));
    const DataOptions options = options_of(name, file);
    if (name == "criteo_tsv") prepared_from = options;
    if (!name.starts_with(only) && !only.empty()) continue;
    const auto source = make_source(options);
    EncodingLearner learner(options, source->columns());
    learner.add(RawRow{.numbers = std::vector<std::optional<double>>(kIntegers, 1.0),
                       .ids = {},
                       .ends = std::vector<std::size_t>(kCategories, 0)});
    const Encoding encoding = learner.finish();
    for (const int threads : thread_counts)
      report.results.push_back(
          result({{"from", name}, {"to", "batches"}, {"threads", threads}},
                 in_turns([&] { text_to_batches(options, *source, encoding, threads, scratch.path()); }, file)));
  }
  if (only.empty() || std::string_view("prepared").starts_with(only)) {
    report.results.push_back(
        result({{"from", "criteo_tsv"}, {"to", "prepared"}, {"threads", cores}},
               in_turns([&] { prepare(prepared_from, scratch.path(), false); }, prepared_from.train[0])));
    const auto dataset = open_prepared(scratch.path() / "prepared", "train");
    const auto epoch = [&](bool shuffled) {
      const SampleOrder order(dataset->size(), {.kind = shuffled ? Shuffle::global : Shuffle::none}, 1, 0);
      BatchLoader loader(*dataset, order, kBatch, [](std::int64_t samples) {
        return std::pair{std::int64_t{0}, samples};
      });
      Batch batch;
      while (loader.next(batch)) {
      }
    };
    for (const bool shuffled : {false, true})
      report.results.push_back(result({{"from", "prepared"}, {"to", "batches"}, {"shuffled", shuffled}, {"threads", 1}},
                                      in_turns([&] { epoch(shuffled); }, scratch.path() / "prepared" / "train.rows")));
  }
  report.more = {{"isa", name_of(active_isa())}, {"rows", kRows}, {"batch", kBatch}};
  for (const nlohmann::json& one : report.results)
    report.text += fmt::format("{:<60} {:>6.2f} M rows/s  ({:.2f} to {:.2f}), {:.3f} of a page cache read\n",
                               one["case"].dump(), one["value"].get<double>() / 1e6, one["min"].get<double>() / 1e6,
                               one["max"].get<double>() / 1e6, one["ratio_to_limit"].get<double>());
  return report;
}

}  // namespace

const Bench kBenchData{.name = "data", .summary = "text and prepared data to batches", .run = run};

}  // namespace swallowtail::cli
