#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <string_view>

#include "trainer/data/dataset.h"
#include "trainer/data/preparation.h"
#include "trainer/data/prepared_dataset.h"
#include "trainer/data/synthetic.h"
#include "trainer/files/sha256.h"

namespace swallowtail {
namespace {

constexpr auto kBeat = std::chrono::seconds(5);

/// What rank 0 tells the others, again and again while it works: they wait in a collective, which must not time out.
struct News {
  std::int64_t is_done = 0, rows_read = 0, rows_quarantined = 0, has_validation = 0, has_test = 0;
  std::array<char, 64> fingerprint{};
};

void tell(News& news, std::int64_t beat, Communicator& ranks) {
  ranks.broadcast({.operation = "data preparation", .step = beat}, 0, std::as_writable_bytes(std::span(&news, 1)));
}

News prepare_on_rank_0(const Experiment& experiment, const std::filesystem::path& run_dir, Communicator& ranks,
                       bool reuse_encoding) {
  const DataOptions options = data_options(experiment);  // every rank: the same file is wrong for all
  News news;
  std::int64_t beat = 0;
  if (ranks.rank() != 0) {
    do tell(news, beat++, ranks);
    while (news.is_done == 0);
    return news;
  }
  auto last = std::chrono::steady_clock::now();
  const auto prepared = prepare(options, run_dir, reuse_encoding, [&] {
    if (ranks.world_size() == 1 || std::chrono::steady_clock::now() - last < kBeat) return;
    tell(news, beat++, ranks);
    last = std::chrono::steady_clock::now();
  });
  news = {.is_done = 1,
          .rows_read = prepared.rows_read,
          .rows_quarantined = prepared.rows_quarantined,
          .has_validation = prepared.has_validation,
          .has_test = prepared.has_test,
          .fingerprint = {}};
  std::ranges::copy(prepared.fingerprint, news.fingerprint.begin());
  tell(news, beat, ranks);
  return news;
}

/// The experiment's section `data`, in full: the only thing that synthetic data depend on besides the seed.
std::string data_section(const Experiment& experiment) {
  const std::string yaml = "\n" + experiment.to_yaml();
  const std::size_t begin = yaml.find("\ndata:");
  if (begin == std::string::npos) return {};
  std::size_t end = begin + 1;
  do end = yaml.find('\n', end + 1);
  while (end != std::string::npos && end + 1 < yaml.size() && (yaml[end + 1] == ' ' || yaml[end + 1] == '-'));
  return yaml.substr(begin, end == std::string::npos ? end : end - begin);
}

Data open_synthetic(const Experiment& experiment) {
  const auto seed = static_cast<std::uint64_t>(experiment.integer("seed"));
  Data data;
  data.train = make_synthetic(experiment, seed, "train");
  data.validation = make_synthetic(experiment, seed, "validation");
  data.test = make_synthetic(experiment, seed, "test");
  for (const auto* split : {&data.train, &data.validation, &data.test})
    if (*split) data.rows_read += (*split)->size();
  data.fingerprint = sha256(fmt::format("synthetic {} {}", seed, data_section(experiment)));
  return data;
}

}  // namespace

Data open_data(const Experiment& experiment, const std::filesystem::path& run_dir, Communicator& ranks,
               bool reuse_encoding) {
  if (experiment.text("data.source") == "synthetic") return open_synthetic(experiment);
  const News news = prepare_on_rank_0(experiment, run_dir, ranks, reuse_encoding);
  const auto directory = run_dir / "prepared";
  Data data;
  data.train = open_prepared(directory, "train");
  if (news.has_validation) data.validation = open_prepared(directory, "validation");
  if (news.has_test) data.test = open_prepared(directory, "test");
  data.rows_read = news.rows_read;
  data.rows_quarantined = news.rows_quarantined;
  data.fingerprint.assign(news.fingerprint.begin(), news.fingerprint.end());
  return data;
}

}  // namespace swallowtail
