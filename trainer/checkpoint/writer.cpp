#include "trainer/checkpoint/writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <thread>
#include <vector>

#include "kernels/huge_pages.h"
#include "trainer/checkpoint/gather.h"
#include "trainer/checkpoint/streamed_copy.h"
#include "trainer/files/durable_file.h"

namespace swallowtail {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(20);

fs::path report_path(const fs::path& partial, int rank) { return partial / fmt::format("rank-{:05}.report", rank); }

/// What a rank's thread has left in the folder; nothing before it is whole.
std::optional<json> read_report(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return {};
  json report = json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (report.is_discarded()) return {};
  return report;
}

}  // namespace

struct CheckpointWriter::Impl {
  fs::path directory;
  Communicator& ranks;
  WriterOptions options;

  bool is_under_way = false;
  SaveRecord record;
  json failed_begin;  // {"error": …} where the folder could not be made
  std::vector<TensorRef> tensors;
  std::vector<HugeVector<std::byte>> copies;  // kept from save to save: fresh memory costs page faults

  std::thread thread;
  std::atomic<bool> must_not_wait{false};  // the main thread has come to join(): reports go through the ranks' calls
  json report;                             // of this rank, after the thread has ended
  std::string digest;                      // of rank 0's thread, where it has published
  std::optional<Error> failure;

  fs::path partial() const { return partial_folder(directory, record.step); }

  void copy(std::span<const TensorRef> mine) {
    tensors.assign(mine.begin(), mine.end());
    copies.resize(std::max(copies.size(), mine.size()));
    for (std::size_t i = 0; i < mine.size(); ++i) {
      const auto from = mine[i].bytes;
      copies[i].resize(from.size());
      copy_streamed(copies[i].data(), from);
      tensors[i].bytes = copies[i];
    }
  }

  void begin() {
    try {
      begin_checkpoint(directory, record.step);
    } catch (const Error& error) {
      failed_begin = {{"error", error_to_json(error)}};
    }
  }

  void publish(std::span<const json> reports) {
    try {
      std::error_code ignored;
      for (int rank = 0; rank < static_cast<int>(reports.size()); ++rank)
        fs::remove(report_path(partial(), rank), ignored);
      digest = publish_checkpoint(directory, record, reports);
      if (options.published) options.published(record, digest);
    } catch (const Error& error) {
      failure = error;
    }
  }

  /// The writer's thread: this rank's files; on rank 0 also the rest, unless join() comes before all have reported.
  void write_behind() {
    report = write_shard(partial(), tensors, ranks.rank(), options.save);
    if (ranks.world_size() > 1 && ranks.rank() != 0) {
      try {
        write_atomically(report_path(partial(), ranks.rank()), report.dump());
      } catch (const Error&) {  // join() brings it
      }
      return;
    }
    std::vector<json> reports(static_cast<std::size_t>(ranks.world_size()));
    reports[0] = report;
    for (int rank = 1; rank < ranks.world_size();) {
      if (auto found = read_report(report_path(partial(), rank))) {
        reports[static_cast<std::size_t>(rank++)] = std::move(*found);
        continue;
      }
      if (must_not_wait) return;
      std::this_thread::sleep_for(kPollInterval);
    }
    publish(reports);
  }

  SaveResult finish() {
    must_not_wait = true;
    if (thread.joinable()) thread.join();
    is_under_way = false;
    const Tag tag{"checkpoint files", record.step};
    json outcome = failed_begin;
    if (outcome.is_null()) {
      const auto reports = gather_json(report, tag, ranks);
      if (ranks.rank() == 0) {
        if (digest.empty() && !failure) publish(reports);
        outcome = failure ? json{{"error", error_to_json(*failure)}} : json{{"digest", digest}};
      }
      outcome = gather_json(outcome, Tag{"checkpoint end", record.step}, ranks)[0];
    }
    if (outcome.contains("digest")) return {record.step, outcome.at("digest").get<std::string>(), {}};
    if (ranks.rank() == 0) abandon_checkpoint(directory, record.step);
    const Error error = error_from_json(outcome.at("error"));
    return {record.step, "",
            Error{error.code() == ExitCode::damaged ? ExitCode::damaged : ExitCode::resources,
                  "the checkpoint was not saved: " + error.fact(), error.where(), error.advice()}};
  }
};

CheckpointWriter::CheckpointWriter(fs::path directory, Communicator& ranks, WriterOptions options)
    : impl_(new Impl{.directory = std::move(directory), .ranks = ranks, .options = std::move(options)}) {}

CheckpointWriter::~CheckpointWriter() {
  impl_->must_not_wait = true;
  if (impl_->thread.joinable()) impl_->thread.join();
  if (impl_->is_under_way && impl_->digest.empty() && impl_->ranks.rank() == 0)
    abandon_checkpoint(impl_->directory, impl_->record.step);
}

std::optional<SaveResult> CheckpointWriter::start(const SaveRecord& record, std::span<const TensorRef> mine) {
  Impl& self = *impl_;
  std::optional<SaveResult> before = join();
  self.record = record;
  self.failed_begin = nullptr;
  self.report = nullptr;
  self.digest.clear();
  self.failure.reset();
  self.must_not_wait = false;
  std::future<void> folder;  // rank 0's, made while the state is copied: its syncs take as long as the disk likes
  if (self.ranks.rank() == 0) folder = std::async(std::launch::async, [&self] { self.begin(); });
  if (self.options.async) self.copy(mine);
  if (folder.valid()) folder.get();
  // Doubles as the barrier after which every rank may write into the folder.
  self.failed_begin = gather_json(self.failed_begin, Tag{"checkpoint folder", record.step}, self.ranks)[0];
  self.is_under_way = true;
  if (!self.failed_begin.is_null()) return before;
  if (self.options.async) {
    self.thread = std::thread([&self] { self.write_behind(); });
  } else {
    self.report = write_shard(self.partial(), mine, self.ranks.rank(), self.options.save);
  }
  return before;
}

std::optional<SaveResult> CheckpointWriter::join() {
  if (!impl_->is_under_way) return {};
  return impl_->finish();
}

std::int64_t CheckpointWriter::copy_bytes() const noexcept {
  std::int64_t bytes = 0;
  for (const auto& copy : impl_->copies) bytes += static_cast<std::int64_t>(copy.capacity());
  return bytes;
}

std::string save_checkpoint(const fs::path& directory, const SaveRecord& record, std::span<const TensorRef> mine,
                            Communicator& ranks, SaveOptions options) {
  CheckpointWriter writer(directory, ranks, {.save = options});
  writer.start(record, mine);
  const SaveResult result = *writer.join();
  if (result.error) throw *result.error;
  return result.digest;
}

}  // namespace swallowtail
