#include "trainer/checkpoint/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <exception>
#include <thread>

#include "parallel/error.h"
#include "trainer/checkpoint/gather.h"
#include "trainer/checkpoint/retention.h"
#include "trainer/files/sha256.h"

namespace swallowtail {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "step-";

Error damaged(const fs::path& path, std::string fact) {
  return Error{ExitCode::damaged, std::move(fact), path.string(),
               "use --checkpoint with an older step, or resume from one"};
}

/// A whole small file. Errors: damaged where it is missing or no regular file.
std::string read_whole(const FileDescriptor& file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file.number(), &status) != 0 || !S_ISREG(status.st_mode)) throw damaged(path, "this is no regular file");
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  if (!read_at(file, path, 0, std::as_writable_bytes(std::span(text)))) throw damaged(path, "the file ends early");
  return text;
}

FileDescriptor open_to_read(const fs::path& path) {
  try {
    return open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (const Error& error) {
    throw damaged(path, error.fact());
  }
}

/// The digest that SHA256SUMS gives for the manifest.
std::string wanted_digest(const fs::path& path) {
  const std::string text = read_whole(open_to_read(path), path);
  const std::string ending = fmt::format("  {}", kManifestName);
  const std::string line = text.substr(0, text.find('\n'));
  if (line.size() != 64 + ending.size() || !line.ends_with(ending))
    throw damaged(path, "the first line is not the manifest's digest");
  return line.substr(0, 64);
}

}  // namespace

fs::path checkpoint_folder(const fs::path& directory, std::int64_t step) {
  return directory / fmt::format("{}{}", kPrefix, step);
}

std::vector<std::int64_t> checkpoint_steps(const fs::path& directory) {
  std::vector<std::int64_t> steps;
  std::error_code failed;
  for (fs::directory_iterator entry(directory, failed), end; !failed && entry != end; entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    const char* const first = name.data() + kPrefix.size();
    const char* const last = name.data() + name.size();
    std::int64_t step = 0;
    const auto [end_of_number, error] = std::from_chars(first, last, step);
    if (error == std::errc() && end_of_number == last && step >= 0) steps.push_back(step);
  }
  std::ranges::sort(steps);
  return steps;
}

Checkpoint Checkpoint::open(const fs::path& directory, std::int64_t step) {
  Checkpoint checkpoint;
  checkpoint.folder_ = checkpoint_folder(directory, step);
  const fs::path path = checkpoint.folder_ / kManifestName;
  checkpoint.lock_ = open_to_read(path);
  ::flock(checkpoint.lock_.number(), LOCK_SH | LOCK_NB);  // where there are no locks, nothing keeps retirement off
  const std::string text = read_whole(checkpoint.lock_, path);
  checkpoint.digest_ = sha256(text);
  const std::string wanted = wanted_digest(checkpoint.folder_ / kSumsName);
  if (checkpoint.digest_ != wanted)
    throw damaged(path,
                  fmt::format("the manifest's SHA-256 is {} where {} says {}", checkpoint.digest_, kSumsName, wanted));
  checkpoint.manifest_ = parse_manifest(text, path);
  if (checkpoint.manifest_.step != step)
    throw damaged(path, fmt::format("the manifest is that of step {}", checkpoint.manifest_.step));
  for (const BlockIndex& file : checkpoint.manifest_.files)
    checkpoint.readers_.push_back(std::make_shared<BlockReader>(checkpoint.folder_, file));
  if (const auto base = checkpoint.manifest_.base_step) {
    if (*base >= step) throw damaged(path, fmt::format("the checkpoint claims to add to the later step {}", *base));
    checkpoint.base_ = std::make_shared<Checkpoint>(open(directory, *base));
    if (checkpoint.base_->digest() != checkpoint.manifest_.base_digest)
      throw damaged(checkpoint.base_->folder_ / kManifestName,
                    fmt::format("the manifest's SHA-256 is {} where step {} was made on {}", checkpoint.base_->digest(),
                                step, checkpoint.manifest_.base_digest));
  }
  return checkpoint;
}

void Checkpoint::read(const std::string& tensor, std::span<std::byte> out) const {
  const auto found = manifest_.tensors.find(tensor);
  if (found == manifest_.tensors.end())
    throw damaged(folder_, fmt::format("the checkpoint has no tensor '{}'", tensor));
  const std::int64_t bytes = found->second.shape.bytes();
  if (bytes != static_cast<std::int64_t>(out.size()))
    throw damaged(folder_,
                  fmt::format("tensor '{}' has {} bytes where the experiment needs {}", tensor, bytes, out.size()));
  read(found->second, 0, out);
}

void Checkpoint::read(const TensorEntry& tensor, std::int64_t from, std::span<std::byte> out) const {
  if (last_read_ != tensor.file) forget();  // half a block in all, however many files there are
  last_read_ = tensor.file;
  readers_[tensor.file]->read(tensor.offset + from, out);
}

BlockReader::Stream Checkpoint::stream(const TensorEntry& tensor, std::int64_t from, std::int64_t bytes) const {
  return {*readers_[tensor.file], tensor.offset + from, bytes};
}

void Checkpoint::forget() const {
  if (!readers_.empty()) readers_[last_read_]->forget();
}

std::int64_t Checkpoint::verify(int threads) const {
  std::atomic<std::size_t> next{0};
  std::atomic<std::int64_t> bytes{0};
  std::vector<std::exception_ptr> failures(readers_.size());
  const auto work = [&] {
    for (std::size_t i = next++; i < readers_.size(); i = next++) try {
        bytes += readers_[i]->verify();
      } catch (...) {
        failures[i] = std::current_exception();
      }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < std::min<int>(threads, static_cast<int>(readers_.size())); ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  for (const std::exception_ptr& failure : failures)
    if (failure) std::rethrow_exception(failure);
  return bytes;
}

std::optional<Checkpoint> restore_newest(const fs::path& directory, Communicator& ranks,
                                         const std::function<void(const Checkpoint&)>& restore,
                                         std::vector<std::string>& complaints, RestoreOptions options) {
  const Tag tag{"restore", 0};
  // One rank's view: on a network file system the others' may lag behind.
  const nlohmann::json steps =
      gather_json(ranks.rank() == 0 ? nlohmann::json(checkpoint_steps(directory)) : nlohmann::json(), tag, ranks)[0];
  std::string first_fact, first_where;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    std::optional<Checkpoint> checkpoint;
    nlohmann::json problem;
    try {
      checkpoint = Checkpoint::open(directory, step->get<std::int64_t>());
      restore(*checkpoint);
    } catch (const Error& error) {
      if (error.code() != ExitCode::damaged && error.code() != ExitCode::resources) throw;
      problem = error_to_json(error);
    }
    std::optional<Error> found;
    for (const nlohmann::json& one : gather_json(problem, tag, ranks))
      if (!one.is_null() && !found) found = error_from_json(one);
    if (!found) {
      const std::int64_t good = checkpoint->step();
      if (ranks.rank() == 0) set_aside_newer(directory, good);
      ranks.barrier(tag);
      return checkpoint;
    }
    if (options.strict)
      throw Error{ExitCode::damaged, found->fact(), found->where(), "leave --strict out to fall back"};
    complaints.push_back(found->message());
    if (first_fact.empty()) {
      first_fact = found->fact();
      first_where = found->where();
    }
  }
  if (complaints.empty()) return {};
  throw Error{ExitCode::damaged, "no checkpoint of this run can be read; of the newest, " + first_fact, first_where,
              "start again with --force"};
}

}  // namespace swallowtail
