// Text sources, plain and compressed, and what a run has prepared from them.
#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/fuzz/target.h"
#include "tests/unit/data/temporary_directory.h"
#include "trainer/data/encoding.h"
#include "trainer/data/preparation.h"
#include "trainer/data/prepared_dataset.h"
#include "trainer/data/prepared_layout.h"
#include "trainer/data/row_blocks.h"
#include "trainer/data/source.h"
#include "trainer/data/text_blocks.h"

namespace swallowtail::fuzz {
namespace {

const test::TemporaryDirectory& folder() {
  static const test::TemporaryDirectory one;
  return one;
}

/// What a reading found, for comparison: rows and bad rows with their lines.
struct Found {
  std::string text;
  bool has_bad = false;
};

void check(const RawRow& row, const RawColumns& columns) {
  expect(row.label == 0 || row.label == 1, "labels are 0 or 1");
  expect(std::isfinite(row.weight) && row.weight >= 0, "weights are finite");
  for (const auto& number : row.numbers) expect(!number || std::isfinite(*number), "numbers are finite");
  expect(row.numbers.size() == columns.numbers.size(), "every number has its place");
  expect(row.ends.size() == columns.features.size(), "every feature has its place");
  expect(std::ranges::is_sorted(row.ends) && (row.ends.empty() || row.ends.back() == row.ids.size()),
         "ids have owners");
}

/// Reads all rows, in blocks of that size, and checks what source.h promises of them.
Found read_rows(const Source& source, const std::filesystem::path& path, std::size_t block_bytes) {
  Found found;
  const auto format = source.format(path);
  TextBlocks blocks(path, *format, block_bytes);
  OwnedBlock block;
  RawRow row;
  BadCell bad;
  std::int64_t line = 0;
  while (blocks.next(block)) {
    const auto reader = format->read(block.block);
    for (auto next = reader->next(row, bad); next != RowReader::Next::end; next = reader->next(row, bad)) {
      const bool is_bad = next == RowReader::Next::bad;
      found.has_bad = found.has_bad || is_bad;
      expect((is_bad ? bad.line : row.line) > line, "lines rise");
      line = is_bad ? bad.line : row.line;
      if (is_bad)
        expect(bad.column >= 0 && !bad.reason.empty(), "a bad row names column and reason");
      else
        check(row, source.columns());
      found.text += is_bad ? fmt::format("{}: {} {}\n", line, bad.column, bad.reason)
                           : fmt::format("{}: {} ids, label {}\n", line, row.ids.size(), row.label);
    }
  }
  return found;
}

/// Taken where no row is bad. Rows do not depend on where the blocks end.
Verdict judge_source(const DataOptions& options, std::string_view input) {
  const auto path = folder().write("rows", input);
  bool has_bad = false;
  const Verdict verdict = taken_unless({ExitCode::data, ExitCode::usage}, [&] {
    const auto source = make_source(options);
    const Found whole = read_rows(*source, path, kBlockBytes);
    has_bad = whole.has_bad;
    expect(read_rows(*source, path, 64).text == whole.text, "blocks of 64 bytes hold the same rows");
  });
  return has_bad ? Verdict::refused : verdict;
}

std::string csv_text() {
  std::string text = "label,age,city,tags,w\n";
  for (int i = 0; i < 12; ++i)
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
Verdict judge_csv(std::string_view input) { return judge_source(csv_options(), input); }
std::vector<std::string> csv_texts() {
  return {csv_text(),
          "\xef\xbb\xbf"
          "w\tlabel\tage\tcity\ttags\r\n1\t0\t3\tRome\ta|b"};
}

/// Damage behind the compression: what inflates, and what is cut or bent in the middle.
std::vector<std::string> compressed_texts() {
  const std::string text = csv_text();
  std::string zst(ZSTD_compressBound(text.size()), '\0'), gz(text.size() + 200, '\0');
  zst.resize(ZSTD_compress(zst.data(), zst.size(), text.data(), text.size(), 3));
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string in = text;
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(gz.data());
  stream.avail_out = static_cast<uInt>(gz.size());
  expect(deflate(&stream, Z_FINISH) == Z_STREAM_END, "the seed was compressed");
  gz.resize(stream.total_out);
  deflateEnd(&stream);
  return {zst, gz};
}

/// The short way to encoded rows gives as many good and bad ones as the reading of single fields, with the same values.
void expect_one_encoding(const Source& source, const std::filesystem::path& path, const Encoding& encoding) {
  const auto format = source.format(path);
  TextBlocks blocks(path, *format);
  OwnedBlock block;
  RawRow raw;
  EncodedRow row;
  BadCell bad;
  while (blocks.next(block)) {
    EncodedBlock found;
    expect(format->encode(block.block, encoding, found), "there is a short way");
    const auto reader = format->read(block.block);
    std::size_t rows = 0, bad_rows = 0;
    for (auto next = reader->next(raw, bad); next != RowReader::Next::end; next = reader->next(raw, bad)) {
      if (next == RowReader::Next::bad) {
        expect(bad_rows < found.bad.size(), "a bad row is bad on both ways");
        const BadRow& other = found.bad[bad_rows++];
        expect(other.rows_before == rows && other.cell.line == bad.line && other.cell.column == bad.column &&
                   other.cell.value == bad.value && other.cell.reason == bad.reason,
               "a bad row has one place and one reason");
        continue;
      }
      expect(rows < found.rows.size(), "a good row is good on both ways");
      encoding.encode(source.columns(), raw, row);
      const EncodedView other = found.rows.at(rows);
      expect(found.rows.line(rows++) == raw.line && other.label == row.label &&
                 std::ranges::equal(other.dense, row.dense) && std::ranges::equal(other.ids, row.ids),
             "a row has one encoding");
    }
    expect(rows == found.rows.size() && bad_rows == found.bad.size(), "both ways end together");
  }
}

Verdict judge_criteo(std::string_view input) {
  DataOptions options;
  options.source = "criteo_tsv";
  for (int k = 1; k <= 13; ++k) options.dense.push_back(fmt::format("I{}", k));
  for (int k = 1; k <= 26; ++k) options.categorical.push_back(fmt::format("C{}", k));
  const Verdict verdict = judge_source(options, input);
  Encoding encoding;
  for (int k = 0; k < 13; ++k) encoding.dense.push_back({.normalize = Normalize::log});
  for (int k = 0; k < 26; ++k) {
    encoding.features.emplace_back();
    encoding.features.back().kind = IdColumn::Kind::hash;
    encoding.features.back().buckets = 1000;
  }
  taken_unless({ExitCode::data},
               [&] { expect_one_encoding(*make_source(options), folder().path() / "rows", encoding); });
  return verdict;
}
std::vector<std::string> criteo_texts() {
  std::string text;
  for (int i = 0; i < 20; ++i) {
    text += fmt::format("{}", i % 2);
    for (int k = 0; k < 13; ++k) text += (i + k) % 3 ? fmt::format("\t{}", i * k - 2) : "\t";
    for (int k = 0; k < 26; ++k) text += (i + k) % 4 ? fmt::format("\t{:08x}", i * 7919 + k % 5) : "\t";
    text += '\n';
  }
  return {text, text.substr(0, text.size() - 1)};
}

Verdict judge_libfm(std::string_view input) {
  DataOptions options;
  options.source = "libfm";
  options.field_starts = {0, 10, 20};
  return judge_source(options, input);
}
std::vector<std::string> libfm_texts() {
  std::string text;
  for (int i = 0; i < 10; ++i) text += fmt::format("{} {}:1 {}:0.5 {}\r\n", i % 2 ? 1 : -1, i % 10, 10 + i % 7, 20 + i);
  return {text, "1 3:1 12 25:0.25"};
}

/// The whole of a run's preparation, once.
const std::filesystem::path& prepared() {
  static const std::filesystem::path path = [] {
    auto options = csv_options();
    options.train = {folder().write("data.csv", csv_text())};
    prepare(options, folder().path() / "run", false);
    return folder().path() / "run" / "prepared";
  }();
  return path;
}

Verdict judge_encoding(std::string_view input) {
  return taken_unless({ExitCode::damaged}, [&] {
    const auto encoding = Encoding::from_json(input, "encoding.json");
    for (const IdColumn& feature : encoding.features)
      for (const auto* word : {"Rome", "a", "b", "zzz", ""}) {
        const std::int64_t row = feature.row_of({.text = word});
        expect(row >= 0 && row < feature.rows, "an id lies in its table");
      }
  });
}
std::vector<std::string> encodings() { return {test::read_text(prepared() / "encoding.json")}; }

constexpr std::string_view kStored[]{"train.json", "train.rows", "train.ids", "train.id_weights"};

/// The first byte says which file of the store the rest replaces.
Verdict judge_prepared(std::string_view input) {
  if (input.empty()) return Verdict::refused;
  const std::string_view name = kStored[static_cast<std::size_t>(input[0] & 3)];
  const auto path = prepared() / name;
  static const std::vector<std::string> good = [] {
    std::vector<std::string> texts;
    for (const auto one : kStored) texts.push_back(test::read_text(prepared() / one));
    return texts;
  }();
  std::ofstream(path, std::ios::binary) << input.substr(1);
  const Verdict verdict = taken_unless({ExitCode::data}, [&] {
    const auto dataset = open_prepared(prepared(), "train");
    expect(dataset->size() < 1000, "there are no more samples than the files can hold");
    std::vector<std::int64_t> samples(static_cast<std::size_t>(dataset->size()));
    std::iota(samples.begin(), samples.end(), std::int64_t{0});
    Batch batch;
    dataset->read(samples, batch);
    for (std::size_t f = 0; f < batch.ids.size(); ++f)
      for (const std::int64_t id : batch.ids[f].values)
        expect(id >= 0 && id < dataset->shape().categorical[f].rows, "an id lies in its table");
  });
  std::ofstream(path, std::ios::binary) << good[static_cast<std::size_t>(input[0] & 3)];
  return verdict;
}
std::vector<std::string> stores() {
  std::vector<std::string> texts;
  for (std::size_t file = 0; file < std::size(kStored); ++file)
    texts.push_back(std::string(1, static_cast<char>('0' + file)) + test::read_text(prepared() / kStored[file]));
  return texts;
}

constexpr Target kTargets[]{{"csv", judge_csv, csv_texts},           {"compressed", judge_csv, compressed_texts},
                            {"criteo", judge_criteo, criteo_texts},  {"libfm", judge_libfm, libfm_texts},
                            {"encoding", judge_encoding, encodings}, {"prepared", judge_prepared, stores}};

}  // namespace

std::span<const Target> data_targets() { return kTargets; }

}  // namespace swallowtail::fuzz
