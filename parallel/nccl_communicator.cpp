#include "parallel/nccl_communicator.h"

#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <numeric>
#include <thread>

#include "parallel/agreement.h"

namespace swallowtail {

namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;
using Clock = std::chrono::steady_clock;

/// After the host's watchdog, which knows which rank is missing.
constexpr double kLaterThanHost_s = 2;

template <typename T>
constexpr ncclDataType_t nccl_type() {
  if constexpr (std::is_same_v<T, float>) return ncclFloat32;
  if constexpr (std::is_same_v<T, double>) return ncclFloat64;
  return ncclInt64;
}

std::string place(int rank, const Tag& tag) {
  return fmt::format("rank {} in {}", rank, call_name(tag.operation, tag.step));
}

void check_cuda(cudaError_t result, std::string_view function, int rank, const Tag& tag) {
  if (result != cudaSuccess)
    throw Error{ExitCode::rank, fmt::format("{} failed: {}", function, cudaGetErrorString(result)), place(rank, tag),
                "see the other ranks' lines and run swallowtail doctor"};
}

/// NCCL's communicator of one rank. It does not block, so that a rank that never comes is noticed in every call.
class Link {
 public:
  Link(int rank, std::vector<int> members, const NcclOptions& options)
      : rank_(rank), members_(std::move(members)), options_(options) {}
  ~Link() {
    if (!comm_) return;
    if (std::uncaught_exceptions() > 0) {
      abort();
      return;
    }
    ncclCommFinalize(comm_);
    auto state = ncclInProgress;
    const auto deadline = after(options_.timeout_s);
    while (ncclCommGetAsyncError(comm_, &state) == ncclSuccess && state == ncclInProgress && Clock::now() < deadline)
      std::this_thread::yield();
    state == ncclSuccess ? ncclCommDestroy(comm_) : ncclCommAbort(comm_);
  }
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  static Clock::time_point after(double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  const NcclOptions& options() const noexcept { return options_; }
  int rank() const noexcept { return rank_; }
  int member(int other) const { return members_[static_cast<std::size_t>(other)]; }
  ncclComm_t comm() const noexcept { return comm_; }
  ncclComm_t* place_of_comm() noexcept { return &comm_; }
  cudaStream_t stream() const noexcept { return options_.stream; }

  /// No kernel of NCCL waits any longer; every later call fails.
  void abort() noexcept {
    if (comm_) ncclCommAbort(comm_);
    comm_ = nullptr;
  }

  /// Throws, after abort(), where a call of NCCL has failed or NCCL has noticed a failure since.
  void check(ncclResult_t result, std::string_view function, const Tag& tag) {
    auto state = ncclSuccess;
    if (comm_ && (result == ncclSuccess || result == ncclInProgress)) result = ncclCommGetAsyncError(comm_, &state);
    if (comm_ && result == ncclSuccess && (state == ncclSuccess || state == ncclInProgress)) return;
    const std::string_view last = comm_ ? ncclGetLastError(comm_) : "an earlier call has failed";
    const auto* const why = ncclGetErrorString(result == ncclSuccess ? state : result);
    const Error error{ExitCode::rank, fmt::format("{} failed: {} ({})", function, why, last), place(rank_, tag),
                      "see the other ranks' lines; NCCL_DEBUG=INFO tells more"};
    abort();
    throw Error(error);
  }

  /// A call of NCCL returns before it has been launched; what follows on the stream must wait for that.
  void launch(ncclResult_t result, std::string_view function, const Tag& tag) {
    check(result, function, tag);
    const auto deadline = after(options_.timeout_s + kLaterThanHost_s);
    for (auto state = ncclInProgress; state == ncclInProgress; std::this_thread::yield()) {
      check(ncclCommGetAsyncError(comm_, &state), function, tag);
      if (state == ncclInProgress && Clock::now() > deadline) give_up(tag);
    }
  }

  [[noreturn]] void give_up(const Tag& tag) {
    abort();
    throw Error{ExitCode::rank,
                fmt::format("{} did not end within {:.0f} s on the GPUs", call_name(tag.operation, tag.step),
                            options_.timeout_s),
                fmt::format("rank {}", rank_), "check the GPUs and the network; NCCL_DEBUG=INFO tells more"};
  }

 private:
  const int rank_;                  // in the host communicator that was given first, as those of the members
  const std::vector<int> members_;  // of this communicator
  const NcclOptions options_;
  ncclComm_t comm_ = nullptr;
};

/// What a rank tells another about the data that NCCL moves between them.
struct Word {
  std::int64_t bytes = 0;
  std::int64_t number = 0;  // of this message between the two
  bool operator==(const Word&) const = default;
};

/// A call whose data NCCL moves, and the words about it on the host.
class NcclPending final : public Pending {
 public:
  NcclPending(Link& link, const Tag& tag) : link_(link), tag_(tag) {
    check_cuda(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming), "cudaEventCreate", link.rank(), tag);
  }
  ~NcclPending() override { cudaEventDestroy(done_); }
  NcclPending(const NcclPending&) = delete;
  NcclPending& operator=(const NcclPending&) = delete;

  void tell(int to, const Word& word) { told_.emplace_back(to, word); }
  void expect(int from, const Word& word) { expected_.emplace_back(from, word); }
  /// `detail`: all that must agree beside the words.
  void compare(Communicator& host, std::uint64_t detail) {
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    heard_.resize(expected_.size());
    for (const auto& [to, word] : told_) outgoing.push_back({to, std::as_bytes(std::span(&word, 1))});
    for (std::size_t i = 0; i < heard_.size(); ++i)
      incoming.push_back({expected_[i].first, std::as_writable_bytes(std::span(&heard_[i], 1))});
    words_ = host.start_messages({tag_.operation, tag_.step, detail}, host.open_channel(), outgoing, incoming);
  }
  /// All has been put on the stream.
  void launched() { check_cuda(cudaEventRecord(done_, link_.stream()), "cudaEventRecord", link_.rank(), tag_); }

  bool test() override {
    return guarded([&] { return words_->test() && read_words() && is_over(); });
  }
  void wait() override {
    guarded([&] {
      words_->wait();  // the host's watchdog names a rank that does not come
      read_words();
      const auto deadline = Link::after(link_.options().timeout_s + kLaterThanHost_s);
      while (!is_over()) {
        if (Clock::now() > deadline) link_.give_up(tag_);
        std::this_thread::yield();
      }
      return true;
    });
  }

 private:
  template <typename Function>
  bool guarded(Function function) {
    try {
      return function();
    } catch (...) {
      link_.abort();  // a kernel of this call may wait for a rank that is elsewhere
      throw;
    }
  }

  bool read_words() {
    for (std::size_t i = 0; i < heard_.size(); ++i) {
      const auto& [from, word] = expected_[i];
      if (heard_[i] == word) continue;
      if (heard_[i].number == word.number)
        throw different_sizes(link_.member(from), heard_[i].bytes, link_.rank(), word.bytes, tag_);
      throw Error{
          ExitCode::rank,
          fmt::format("rank {} sends as its message {} what rank {} expects as message {} in {}", link_.member(from),
                      heard_[i].number, link_.rank(), word.number, call_name(tag_.operation, tag_.step)),
          fmt::format("ranks {} and {}", link_.member(from), link_.rank()),
          "with NCCL both must start their messages in the same order"};
    }
    return true;
  }

  bool is_over() {
    link_.check(ncclSuccess, "NCCL", tag_);
    const auto state = cudaEventQuery(done_);
    if (state == cudaErrorNotReady) return false;
    check_cuda(state, "the GPU's work", link_.rank(), tag_);
    return true;
  }

  Link& link_;
  const Tag tag_;
  cudaEvent_t done_ = nullptr;
  std::vector<std::pair<int, Word>> told_, expected_;
  std::vector<Word> heard_;
  std::unique_ptr<Pending> words_;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(Communicator& host, std::unique_ptr<Link> link)
      : host_(host), link_(std::move(link)), sent_(size()), received_(size()) {}
  /// A part by split(), with its own host.
  NcclCommunicator(std::unique_ptr<Communicator> host, std::unique_ptr<Link> link)
      : own_host_(std::move(host)), host_(*own_host_), link_(std::move(link)), sent_(size()), received_(size()) {}

  int rank() const noexcept override { return host_.rank(); }
  int world_size() const noexcept override { return host_.world_size(); }
  std::span<const int> node_of() const noexcept override { return host_.node_of(); }

  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    start_chunks(tag, send, recv, Collective::all_to_all)->wait();
  }
  void all_reduce_sum(const Tag& tag, std::span<float> values) override { reduce(tag, values, ncclSum)->wait(); }
  void all_reduce_sum(const Tag& tag, std::span<double> values) override { reduce(tag, values, ncclSum)->wait(); }
  void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) override { reduce(tag, values, ncclSum)->wait(); }
  void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) override { reduce(tag, values, ncclMax)->wait(); }

  void reduce_scatter_sum(const Tag& tag, std::span<const float> values, std::span<const std::int64_t> offsets,
                          std::span<float> out) override {
    check_own_part(link_->rank(), rank(), offsets, std::ssize(values), std::ssize(out), tag);
    together({Collective::reduce_scatter, tag, offsets_hash(offsets)}, std::as_bytes(values), [&] {
      for (int root = 0; root < world_size(); ++root) {
        const auto first = offsets[index(root)], end = offsets[index(root) + 1];
        if (first == end) continue;
        link_->check(ncclReduce(values.data() + first, out.data(), static_cast<std::size_t>(end - first), ncclFloat32,
                                ncclSum, root, link_->comm(), link_->stream()),
                     "ncclReduce", tag);
      }
    })->wait();
  }

  void all_gather(const Tag& tag, ConstBytes send, Chunks recv) override {
    if (send.size() != recv[rank()].size())
      throw different_sizes(link_->rank(), std::ssize(send), link_->rank(), std::ssize(recv[rank()]), tag);
    together({Collective::all_gather, tag, offsets_hash(recv.offsets)}, recv.bytes, [&] {
      for (int root = 0; root < world_size(); ++root) {
        const auto target = recv[root];
        if (target.empty()) continue;
        link_->check(
            ncclBroadcast(send.data(), target.data(), target.size(), ncclUint8, root, link_->comm(), link_->stream()),
            "ncclBroadcast", tag);
      }
    })->wait();
  }

  void broadcast(const Tag& tag, int root, Bytes bytes) override {
    together({Collective::broadcast, tag, static_cast<std::uint64_t>(root)}, bytes, [&] {
      if (bytes.empty()) return;
      link_->check(
          ncclBroadcast(bytes.data(), bytes.data(), bytes.size(), ncclUint8, root, link_->comm(), link_->stream()),
          "ncclBroadcast", tag);
    })->wait();
  }

  /// Also waits for what the stream holds.
  void barrier(const Tag& tag) override {
    together({Collective::barrier, tag}, {}, [] {})->wait();
    host_.barrier(tag);
  }

  std::uint32_t open_channel() noexcept override { return host_.open_channel(); }

  std::unique_ptr<Pending> start_messages(const Tag& tag, std::uint32_t channel, std::span<const Outgoing> outgoing,
                                          std::span<const Incoming> incoming) override {
    check_messages(link_->rank(), rank(), outgoing, incoming, tag);
    if (std::ranges::any_of(incoming, [](const Incoming& message) { return message.any_size != nullptr; }))
      throw Error{ExitCode::usage, "NCCL receives into device memory whose size is known", place(link_->rank(), tag),
                  "exchange the sizes first"};
    return start(tag, outgoing, incoming, Collective::exchange, channel);
  }
  std::unique_ptr<Pending> start_all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    return start_chunks(tag, send, recv, Collective::start_all_to_all);
  }
  std::unique_ptr<Pending> start_all_reduce_sum(const Tag& tag, std::span<float> values) override {
    return reduce(tag, values, ncclSum, Collective::start_all_reduce);
  }

  std::unique_ptr<Communicator> split(const Tag& tag, int color) override {
    auto part = host_.split(tag, color);
    std::vector<int> members(index(part->world_size()));
    const std::vector<std::int64_t> equal(members.size(), sizeof(int));
    const int self = link_->rank();
    part->all_gather(tag, std::as_bytes(std::span(&self, 1)),
                     {std::as_writable_bytes(std::span(members)), byte_offsets(equal, 1)});
    auto link = std::make_unique<Link>(self, std::move(members), link_->options());
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    link_->launch(ncclCommSplit(link_->comm(), color, rank(), link->place_of_comm(), &config), "ncclCommSplit", tag);
    link->launch(ncclSuccess, "ncclCommSplit", tag);
    return std::make_unique<NcclCommunicator>(std::move(part), std::move(link));
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  std::size_t size() const { return index(host_.world_size()); }

  std::unique_ptr<NcclPending> start_chunks(const Tag& tag, ConstChunks send, Chunks recv, Collective collective) {
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int step = 0; step < world_size(); ++step) {
      const int to = (rank() + step) % world_size(), from = (rank() + world_size() - step) % world_size();
      outgoing.push_back({to, send[to]});
      incoming.push_back({from, recv[from]});
    }
    check_messages(link_->rank(), rank(), outgoing, incoming, tag);
    return start(tag, outgoing, incoming, collective, 0);
  }

  std::unique_ptr<NcclPending> start(const Tag& tag, std::span<const Outgoing> outgoing,
                                     std::span<const Incoming> incoming, Collective collective, std::uint32_t channel) {
    auto pending = std::make_unique<NcclPending>(*link_, tag);
    for (const auto& message : outgoing)
      pending->tell(message.to, {std::ssize(message.bytes), ++sent_[index(message.to)]});
    for (const auto& message : incoming)
      pending->expect(message.from, {std::ssize(message.bytes), ++received_[index(message.from)]});
    pending->compare(host_, call_hash({collective, tag, channel}));
    link_->check(ncclGroupStart(), "ncclGroupStart", tag);
    for (const auto& [to, bytes] : outgoing)
      if (!bytes.empty())
        link_->check(ncclSend(bytes.data(), bytes.size(), ncclUint8, to, link_->comm(), link_->stream()), "ncclSend",
                     tag);
    for (const auto& message : incoming)
      if (!message.bytes.empty())
        link_->check(ncclRecv(message.bytes.data(), message.bytes.size(), ncclUint8, message.from, link_->comm(),
                              link_->stream()),
                     "ncclRecv", tag);
    link_->launch(ncclGroupEnd(), "ncclGroupEnd", tag);
    pending->launched();
    return pending;
  }

  /// A collective of all: each rank hears from the one before it, whose call must be the same.
  template <typename Enqueue>
  std::unique_ptr<NcclPending> together(const Call& call, ConstBytes values, Enqueue enqueue) {
    auto pending = std::make_unique<NcclPending>(*link_, call.tag);
    const int next = (rank() + 1) % world_size(), last = (rank() + world_size() - 1) % world_size();
    pending->tell(next, {std::ssize(values), 0});
    pending->expect(last, {std::ssize(values), 0});
    pending->compare(host_, call_hash(call));
    link_->check(ncclGroupStart(), "ncclGroupStart", call.tag);
    enqueue();
    link_->launch(ncclGroupEnd(), "ncclGroupEnd", call.tag);
    pending->launched();
    return pending;
  }

  template <typename T>
  std::unique_ptr<NcclPending> reduce(const Tag& tag, std::span<T> values, ncclRedOp_t operation,
                                      Collective collective = Collective::all_reduce) {
    const auto extra = static_cast<std::uint64_t>(operation) * 100 + static_cast<std::uint64_t>(nccl_type<T>());
    return together({collective, tag, extra}, std::as_bytes(values), [&] {
      if (values.empty()) return;
      link_->check(ncclAllReduce(values.data(), values.data(), values.size(), nccl_type<T>(), operation, link_->comm(),
                                 link_->stream()),
                   "ncclAllReduce", tag);
    });
  }

  std::unique_ptr<Communicator> own_host_;  // before what uses it
  Communicator& host_;
  std::unique_ptr<Link> link_;
  std::vector<std::int64_t> sent_, received_;  // messages so far, to and from each rank
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host, NcclOptions options) {
  int devices = 0;
  const auto found = cudaGetDeviceCount(&devices);
  if (found != cudaSuccess || options.device < 0 || options.device >= devices)
    throw Error{ExitCode::resources,
                found != cudaSuccess ? fmt::format("no GPU can be used: {}", cudaGetErrorString(found))
                                     : fmt::format("there is no GPU {}, only {}", options.device, devices),
                fmt::format("rank {}, GPU {}", host.rank(), options.device),
                "see what nvidia-smi lists, or choose parallel.device: cpu"};
  const Tag tag{"nccl start"};
  check_cuda(cudaSetDevice(options.device), "cudaSetDevice", host.rank(), tag);
  std::vector<int> everyone(static_cast<std::size_t>(host.world_size()));
  std::iota(everyone.begin(), everyone.end(), 0);
  auto link = std::make_unique<Link>(host.rank(), std::move(everyone), options);
  ncclUniqueId id{};
  if (host.rank() == 0 && ncclGetUniqueId(&id) != ncclSuccess)
    throw Error{ExitCode::rank, fmt::format("ncclGetUniqueId failed: {}", ncclGetLastError(nullptr)), "rank 0",
                "NCCL_DEBUG=INFO tells more"};
  host.broadcast(tag, 0, std::as_writable_bytes(std::span(&id, 1)));
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  link->launch(ncclCommInitRankConfig(link->place_of_comm(), host.world_size(), id, host.rank(), &config),
               "ncclCommInitRankConfig", tag);
  return std::make_unique<NcclCommunicator>(host, std::move(link));
}

}  // namespace swallowtail
