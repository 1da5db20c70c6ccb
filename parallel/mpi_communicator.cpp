#include "parallel/mpi_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "parallel/agreement.h"
#include "parallel/mpi_session.h"
#include "parallel/watchdog.h"

namespace swallowtail {

namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

/// What rank a tells rank b before a collective.
struct Header {
  std::uint64_t call = 0;        // call_hash
  std::int64_t send_bytes = 0;   // a -> b
  std::int64_t recv_bytes = 0;   // b -> a, as a expects
  std::int64_t total_bytes = 0;  // the most that a sends or receives in all
};

/// A call in plain data, for the words of an error and beside each exchange().
struct Description {
  std::array<char, 64> operation{};
  std::int64_t step = 0;
  std::uint64_t detail = 0, extra = 0;
  std::int64_t bytes = 0;
  Collective collective = Collective::barrier;
  std::array<char, 7> unused{};

  Description() = default;
  Description(const Call& call, std::int64_t call_bytes)
      : step(call.tag.step),
        detail(call.tag.detail),
        extra(call.extra),
        bytes(call_bytes),
        collective(call.collective) {
    std::copy_n(call.tag.operation.begin(), std::min(call.tag.operation.size(), operation.size() - 1),
                operation.begin());
  }
  Call call() const { return {collective, {operation.data(), step, detail}, extra}; }
};

static_assert(sizeof(Description) == 104);

constexpr int kDescriptionTag = 1, kDataTag = 2, kSplitTag = 3;

template <typename T>
MPI_Datatype mpi_type() {
  if constexpr (std::is_same_v<T, float>) return MPI_FLOAT;
  if constexpr (std::is_same_v<T, double>) return MPI_DOUBLE;
  return MPI_INT64_T;
}

/// Requests of one call. Left behind by an error they are given up: the run is about to end.
class Requests {
 public:
  Requests() = default;
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;
  ~Requests() {
    for (auto& request : requests_)
      if (request != MPI_REQUEST_NULL) {
        MPI_Cancel(&request);
        MPI_Request_free(&request);
      }
  }
  MPI_Request* add() { return &requests_.emplace_back(MPI_REQUEST_NULL); }
  int wait() { return MPI_Waitall(static_cast<int>(requests_.size()), requests_.data(), MPI_STATUSES_IGNORE); }

 private:
  std::vector<MPI_Request> requests_;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MpiState& mpi, MpiOptions options)
      : mpi_(mpi),
        part_bytes_(options.part_bytes),
        bound_(*mpi.reporter),
        watchdog_(*mpi.board, *mpi.reporter, mpi.rank, mpi.world_size, options.timeout_s, MpiSession::fail) {}
  ~MpiCommunicator() override {
    if (std::uncaught_exceptions() == 0) mpi_.reporter->finish();
  }

  int rank() const noexcept override { return mpi_.rank; }
  int world_size() const noexcept override { return mpi_.world_size; }
  int node_local_ranks() const noexcept override { return mpi_.node_ranks; }

  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    const Watchdog::Watch watch(watchdog_, tag);
    for (int other = 0; other < world_size(); ++other)
      sent(other) = {0, std::ssize(send[other]), std::ssize(recv[other]),
                     std::max(send.offsets[index(world_size())], recv.offsets[index(world_size())])};
    const auto largest = agree({Collective::all_to_all, tag});
    if (world_size() == 1) return copy(send[0], recv[0]);
    if (largest > part_bytes_) return all_to_all_in_parts(tag, send, recv);
    const auto [send_counts, send_starts] = counts_and_starts(send.offsets);
    const auto [recv_counts, recv_starts] = counts_and_starts(recv.offsets);
    check(MPI_Alltoallv(send.bytes.data(), send_counts.data(), send_starts.data(), MPI_BYTE, recv.bytes.data(),
                        recv_counts.data(), recv_starts.data(), MPI_BYTE, mpi_.world),
          "MPI_Alltoallv", tag);
  }

  void exchange(const Tag& tag, int to, ConstBytes send, int from, Bytes recv) override {
    const Watchdog::Watch watch(watchdog_, tag);
    if (to == rank() && from == rank()) {
      if (send.size() != recv.size()) throw different_sizes(to, std::ssize(send), to, std::ssize(recv), tag);
      return copy(send, recv);
    }
    const Call call{Collective::exchange, tag};
    const Description mine(call, std::ssize(send));
    Description theirs;
    // The words about the data travel beside it, and are read before the data are waited for.
    Requests words, data;
    check(MPI_Isend(&mine, sizeof mine, MPI_BYTE, to, kDescriptionTag, mpi_.world, words.add()), "MPI_Isend", tag);
    receive_in_parts(data, recv, from, kDataTag, tag);
    send_in_parts(data, send, to, kDataTag, tag);
    check(MPI_Recv(&theirs, sizeof theirs, MPI_BYTE, from, kDescriptionTag, mpi_.world, MPI_STATUS_IGNORE), "MPI_Recv",
          tag);
    if (call_hash(theirs.call()) != call_hash(Description(call, 0).call())) throw in_order(rank(), call, from, theirs);
    if (theirs.bytes != std::ssize(recv)) throw different_sizes(from, theirs.bytes, rank(), std::ssize(recv), tag);
    check(data.wait(), "MPI_Waitall", tag);
    check(words.wait(), "MPI_Waitall", tag);
  }

  void all_reduce_sum(const Tag& tag, std::span<float> values) override { reduce(tag, values, MPI_SUM, 0); }
  void all_reduce_sum(const Tag& tag, std::span<double> values) override { reduce(tag, values, MPI_SUM, 1); }
  void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) override { reduce(tag, values, MPI_SUM, 2); }
  void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) override { reduce(tag, values, MPI_MAX, 3); }

  void all_gather(const Tag& tag, ConstBytes send, Chunks recv) override {
    const Watchdog::Watch watch(watchdog_, tag);
    for (int other = 0; other < world_size(); ++other)
      sent(other) = {0, std::ssize(send), std::ssize(recv[other]), recv.offsets[index(world_size())]};
    const auto largest = agree({Collective::all_gather, tag});
    if (world_size() == 1) return copy(send, recv[0]);
    if (largest > part_bytes_) {
      copy(send, recv[rank()]);
      for (int root = 0; root < world_size(); ++root) broadcast_in_parts(tag, root, recv[root]);
      return;
    }
    const auto [counts, starts] = counts_and_starts(recv.offsets);
    check(MPI_Allgatherv(send.data(), static_cast<int>(send.size()), MPI_BYTE, recv.bytes.data(), counts.data(),
                         starts.data(), MPI_BYTE, mpi_.world),
          "MPI_Allgatherv", tag);
  }

  void broadcast(const Tag& tag, int root, Bytes bytes) override {
    const Watchdog::Watch watch(watchdog_, tag);
    same_length(std::ssize(bytes));
    agree({Collective::broadcast, tag, static_cast<std::uint64_t>(root)});
    if (world_size() > 1) broadcast_in_parts(tag, root, bytes);
  }

  void barrier(const Tag& tag) override {
    const Watchdog::Watch watch(watchdog_, tag);
    same_length(0);
    agree({Collective::barrier, tag});  // everybody hears from everybody: that is the barrier
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  Header& sent(int rank) { return sent_[index(rank)]; }

  void same_length(std::int64_t bytes) { std::ranges::fill(sent_, Header{0, bytes, bytes, bytes}); }

  /// Sends `sent_` around and throws where a call or a size differs. The largest total_bytes of any rank, so that all
  /// take the same way through a message of several parts.
  std::int64_t agree(const Call& call) {
    const auto hash = call_hash(call);
    for (auto& header : sent_) header.call = hash;
    if (world_size() == 1) {
      received_ = sent_;
    } else {
      check(
          MPI_Alltoall(sent_.data(), sizeof(Header), MPI_BYTE, received_.data(), sizeof(Header), MPI_BYTE, mpi_.world),
          "MPI_Alltoall", call.tag);
    }
    // Every rank sees the same hashes, so all of them take this way together.
    if (std::ranges::any_of(received_, [&](const Header& header) { return header.call != received_[0].call; }))
      throw disagreement(call);
    std::int64_t largest = 0;
    const bool is_symmetric = call.collective != Collective::all_to_all && call.collective != Collective::all_gather;
    for (int other = 0; other < world_size(); ++other) {
      const auto &mine = sent(other), &theirs = received_[index(other)];
      if (mine.send_bytes != theirs.recv_bytes && is_symmetric)
        throw different_lengths(std::min(rank(), other), rank() < other ? mine.send_bytes : theirs.send_bytes,
                                std::max(rank(), other), rank() < other ? theirs.send_bytes : mine.send_bytes,
                                call.tag);
      if (mine.send_bytes != theirs.recv_bytes)
        throw different_sizes(rank(), mine.send_bytes, other, theirs.recv_bytes, call.tag);
      if (theirs.send_bytes != mine.recv_bytes)
        throw different_sizes(other, theirs.send_bytes, rank(), mine.recv_bytes, call.tag);
      largest = std::max(largest, theirs.total_bytes);
    }
    return largest;
  }

  /// The words for ranks in different calls: rank 0 and the first that is elsewhere, the same on every rank.
  Error disagreement(const Call& call) {
    const Description mine(call, 0);
    std::vector<Description> all(index(world_size()));
    check(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all.data(), sizeof mine, MPI_BYTE, mpi_.world), "MPI_Allgather",
          call.tag);
    int other = 1;
    while (received_[index(other)].call == received_[0].call) ++other;
    return different_calls(0, all[0].call(), other, all[index(other)].call());
  }

  static Error in_order(int rank, const Call& call, int other, const Description& theirs) {
    return rank < other ? different_calls(rank, call, other, theirs.call())
                        : different_calls(other, theirs.call(), rank, call);
  }

  static void copy(ConstBytes from, Bytes to) { std::ranges::copy(from, to.begin()); }

  static std::pair<std::vector<int>, std::vector<int>> counts_and_starts(std::span<const std::int64_t> offsets) {
    std::vector<int> counts, starts;  // part_bytes_ and so every offset is below 2^31
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      counts.push_back(static_cast<int>(offsets[i + 1] - offsets[i]));
      starts.push_back(static_cast<int>(offsets[i]));
    }
    return {counts, starts};
  }

  template <typename Span, typename Function>
  void in_parts(Span bytes, Function function) const {
    const auto part = static_cast<std::size_t>(part_bytes_);
    for (std::size_t start = 0; start < bytes.size(); start += part)
      function(bytes.subspan(start, std::min(part, bytes.size() - start)));
  }

  void send_in_parts(Requests& requests, ConstBytes bytes, int to, int mpi_tag, const Tag& tag) const {
    in_parts(bytes, [&](ConstBytes part) {
      check(MPI_Isend(part.data(), static_cast<int>(part.size()), MPI_BYTE, to, mpi_tag, mpi_.world, requests.add()),
            "MPI_Isend", tag);
    });
  }

  void receive_in_parts(Requests& requests, Bytes bytes, int from, int mpi_tag, const Tag& tag) const {
    in_parts(bytes, [&](Bytes part) {
      check(MPI_Irecv(part.data(), static_cast<int>(part.size()), MPI_BYTE, from, mpi_tag, mpi_.world, requests.add()),
            "MPI_Irecv", tag);
    });
  }

  void all_to_all_in_parts(const Tag& tag, ConstChunks send, Chunks recv) const {
    copy(send[rank()], recv[rank()]);
    Requests requests;
    for (int step = 1; step < world_size(); ++step) {
      const int from = (rank() + world_size() - step) % world_size(), to = (rank() + step) % world_size();
      receive_in_parts(requests, recv[from], from, kSplitTag, tag);
      send_in_parts(requests, send[to], to, kSplitTag, tag);
    }
    check(requests.wait(), "MPI_Waitall", tag);
  }

  void broadcast_in_parts(const Tag& tag, int root, Bytes bytes) const {
    in_parts(bytes, [&](Bytes part) {
      check(MPI_Bcast(part.data(), static_cast<int>(part.size()), MPI_BYTE, root, mpi_.world), "MPI_Bcast", tag);
    });
  }

  template <typename T>
  void reduce(const Tag& tag, std::span<T> values, MPI_Op operation, std::uint64_t kind) {
    const Watchdog::Watch watch(watchdog_, tag);
    same_length(std::ssize(values) * static_cast<std::int64_t>(sizeof(T)));
    agree({Collective::all_reduce, tag, kind});
    if (world_size() == 1) return;
    const auto part = std::max<std::size_t>(1, static_cast<std::size_t>(part_bytes_) / sizeof(T));
    for (std::size_t start = 0; start < values.size(); start += part) {
      const auto some = values.subspan(start, std::min(part, values.size() - start));
      check(
          MPI_Allreduce(MPI_IN_PLACE, some.data(), static_cast<int>(some.size()), mpi_type<T>(), operation, mpi_.world),
          "MPI_Allreduce", tag);
    }
  }

  static void check(int result, std::string_view function, const Tag& tag) {
    if (result != MPI_SUCCESS) check_mpi(result, function, call_name(tag.operation, tag.step));
  }

  MpiState& mpi_;
  const std::int64_t part_bytes_;
  BoundReporter bound_;
  Watchdog watchdog_;
  std::vector<Header> sent_ = std::vector<Header>(index(mpi_.world_size));
  std::vector<Header> received_ = sent_;
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MpiOptions options) {
  if (!mpi_state()) throw std::logic_error("make_mpi_communicator needs an MpiSession");
  return std::make_unique<MpiCommunicator>(*mpi_state(), options);
}

}  // namespace swallowtail
