#include "parallel/mpi_communicator.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <stdexcept>

#include "parallel/agreement.h"
#include "parallel/mpi_messages.h"
#include "parallel/mpi_session.h"
#include "parallel/watchdog.h"

namespace swallowtail {

namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;
using Data = MessageCall::Data;

template <typename T>
MPI_Datatype mpi_type() {
  if constexpr (std::is_same_v<T, float>) return MPI_FLOAT;
  if constexpr (std::is_same_v<T, double>) return MPI_DOUBLE;
  return MPI_INT64_T;
}

/// What the communicators of a rank share.
struct Rank {
  Rank(MpiState& state, const MpiOptions& options)
      : mpi(state),
        bound(*state.reporter),
        watchdog(*state.board, *state.reporter, state.rank, state.world_size, options.timeout_s, MpiSession::fail) {}
  MpiState& mpi;
  BoundReporter bound;
  Watchdog watchdog;
};

void copy(ConstBytes from, Bytes to) { std::ranges::copy(from, to.begin()); }

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(std::shared_ptr<Rank> shared, MPI_Comm comm, std::vector<int> members,
                  std::span<const int> node_of_run, std::int64_t part_bytes)
      : shared_(std::move(shared)) {
    group_.comm = comm;
    MPI_Comm_rank(comm, &group_.rank);
    MPI_Comm_size(comm, &group_.size);
    group_.members = std::move(members);
    group_.part_bytes = part_bytes;
    group_.watchdog = &shared_->watchdog;
    const int* largest_tag = nullptr;
    int is_known = 0;
    MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, static_cast<void*>(&largest_tag), &is_known);
    group_.tags = is_known != 0 ? *largest_tag : 32767;  // what MPI promises at least
    std::vector<int> nodes;
    for (const int member : group_.members) nodes.push_back(node_of_run[index(member)]);
    node_of_ = numbered_in_order(nodes);
  }

  ~MpiCommunicator() override {
    const bool is_run = group_.comm == shared_->mpi.world;
    if (std::uncaught_exceptions() > 0) return;
    is_run ? shared_->mpi.reporter->finish() : static_cast<void>(MPI_Comm_free(&group_.comm));
  }

  int rank() const noexcept override { return group_.rank; }
  int world_size() const noexcept override { return group_.size; }
  std::span<const int> node_of() const noexcept override { return node_of_; }

  void all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    const auto watch = watched(tag);
    to_and_from_all(tag, send, recv);
    const auto total = std::max(send.offsets[index(world_size())], recv.offsets[index(world_size())]);
    MessageCall words = first_words({Collective::all_to_all, tag}, total);
    words.finish();
    if ((words.flags() & Description::kLarge) == 0) return copy(send[rank()], recv[rank()]);
    if ((words.flags() & Description::kHuge) != 0) {
      MessageCall data(group_, {Collective::all_to_all, tag}, ++channel_, outgoing_, incoming_);
      copy(send[rank()], recv[rank()]);
      return data.finish();
    }
    const auto [send_counts, send_starts] = counts_and_starts(send.offsets);
    const auto [recv_counts, recv_starts] = counts_and_starts(recv.offsets);
    check_call(MPI_Alltoallv(send.bytes.data(), send_counts.data(), send_starts.data(), MPI_BYTE, recv.bytes.data(),
                             recv_counts.data(), recv_starts.data(), MPI_BYTE, group_.comm),
               "MPI_Alltoallv", tag);
  }

  void all_reduce_sum(const Tag& tag, std::span<float> values) override { reduce(tag, values, MPI_SUM, 0); }
  void all_reduce_sum(const Tag& tag, std::span<double> values) override { reduce(tag, values, MPI_SUM, 1); }
  void all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) override { reduce(tag, values, MPI_SUM, 2); }
  void all_reduce_max(const Tag& tag, std::span<std::int64_t> values) override { reduce(tag, values, MPI_MAX, 3); }

  void reduce_scatter_sum(const Tag& tag, std::span<const float> values, std::span<const std::int64_t> offsets,
                          std::span<float> out) override {
    const auto watch = watched(tag);
    check_own_part(group_.member(rank()), rank(), offsets, std::ssize(values), std::ssize(out), tag);
    agree({Collective::reduce_scatter, tag, offsets_hash(offsets)}, std::as_bytes(values));
    if (world_size() == 1) return copy(std::as_bytes(values), std::as_writable_bytes(out));
    if (std::ssize(std::as_bytes(values)) <= group_.part_bytes) {
      check_call(MPI_Reduce_scatter(values.data(), out.data(), counts_and_starts(offsets).first.data(), MPI_FLOAT,
                                    MPI_SUM, group_.comm),
                 "MPI_Reduce_scatter", tag);
      return;
    }
    for (int root = 0; root < world_size(); ++root) {
      auto* target = out.data();
      const auto first = offsets[index(root)], end = offsets[index(root) + 1];
      in_parts(values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(end - first)),
               part_elements<float>(), [&](std::span<const float> part) {
                 check_call(MPI_Reduce(part.data(), target, static_cast<int>(part.size()), MPI_FLOAT, MPI_SUM, root,
                                       group_.comm),
                            "MPI_Reduce", tag);
                 if (root == rank()) target += part.size();
               });
    }
  }

  void all_gather(const Tag& tag, ConstBytes send, Chunks recv) override {
    const auto watch = watched(tag);
    outgoing_.clear();
    incoming_.clear();
    for (int step = 1; step < world_size(); ++step) outgoing_.push_back({behind(step), send});
    for (int step = 1; step < world_size(); ++step) incoming_.push_back({before(step), recv[before(step)]});
    check_own_chunk(tag, send, recv[rank()]);
    MessageCall words = first_words({Collective::all_gather, tag}, recv.offsets[index(world_size())]);
    words.finish();
    if ((words.flags() & Description::kLarge) == 0) return copy(send, recv[rank()]);
    if ((words.flags() & Description::kHuge) != 0) {
      copy(send, recv[rank()]);
      for (int root = 0; root < world_size(); ++root) broadcast_in_parts(tag, root, recv[root]);
      return;
    }
    const auto [counts, starts] = counts_and_starts(recv.offsets);
    check_call(MPI_Allgatherv(send.data(), static_cast<int>(send.size()), MPI_BYTE, recv.bytes.data(), counts.data(),
                              starts.data(), MPI_BYTE, group_.comm),
               "MPI_Allgatherv", tag);
  }

  void broadcast(const Tag& tag, int root, Bytes bytes) override {
    const auto watch = watched(tag);
    agree({Collective::broadcast, tag, static_cast<std::uint64_t>(root)}, bytes);
    if (world_size() > 1) broadcast_in_parts(tag, root, bytes);
  }

  void barrier(const Tag& tag) override {
    const auto watch = watched(tag);
    agree({Collective::barrier, tag}, {});
    // Among three or more the neighbour's word says nothing of the others.
    if (world_size() > 2) check_call(MPI_Barrier(group_.comm), "MPI_Barrier", tag);
  }

  std::uint32_t open_channel() noexcept override {
    shared_->mpi.reporter->count_call();
    return ++channel_;
  }

  std::unique_ptr<Pending> start_messages(const Tag& tag, std::uint32_t channel, std::span<const Outgoing> outgoing,
                                          std::span<const Incoming> incoming) override {
    check_messages(group_.member(rank()), rank(), outgoing, incoming, tag);
    return std::make_unique<MessageCall>(group_, Call{Collective::exchange, tag}, channel, outgoing, incoming);
  }

  // As messages and not as MPI_Ialltoallv: Open MPI makes the same messages of that, but what the ranks must compare
  // would be a second call beside it.
  std::unique_ptr<Pending> start_all_to_all(const Tag& tag, ConstChunks send, Chunks recv) override {
    to_and_from_all(tag, send, recv);
    outgoing_.push_back({rank(), send[rank()]});
    incoming_.push_back({rank(), recv[rank()]});
    return std::make_unique<MessageCall>(group_, Call{Collective::start_all_to_all, tag}, open_channel(), outgoing_,
                                         incoming_);
  }

  std::unique_ptr<Pending> start_all_reduce_sum(const Tag& tag, std::span<float> values) override {
    auto pending = compare_in_ring({Collective::start_all_reduce, tag}, open_channel(), std::as_bytes(values));
    if (world_size() == 1) return pending;
    in_parts(values, part_elements<float>(), [&](std::span<float> part) {
      check_call(MPI_Iallreduce(MPI_IN_PLACE, part.data(), static_cast<int>(part.size()), MPI_FLOAT, MPI_SUM,
                                group_.comm, pending->add_request()),
                 "MPI_Iallreduce", tag);
    });
    return pending;
  }

  std::unique_ptr<Communicator> split(const Tag& tag, int color) override {
    const auto watch = watched(tag);
    agree({Collective::split, tag}, {});
    MPI_Comm part = MPI_COMM_NULL;
    check_call(MPI_Comm_split(group_.comm, color, rank(), &part), "MPI_Comm_split", tag);
    int size = 0;
    MPI_Comm_size(part, &size);
    std::vector<int> members(index(size));
    const int self = group_.member(rank());
    check_call(MPI_Allgather(&self, 1, MPI_INT, members.data(), 1, MPI_INT, part), "MPI_Allgather", tag);
    std::vector<int> node_of_run(index(shared_->mpi.world_size));
    for (int other = 0; other < world_size(); ++other)
      node_of_run[index(group_.member(other))] = node_of_[index(other)];
    return std::make_unique<MpiCommunicator>(shared_, part, std::move(members), node_of_run, group_.part_bytes);
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  int behind(int step) const { return (rank() + step) % world_size(); }
  int before(int step) const { return (rank() + world_size() - step) % world_size(); }
  template <typename T>
  std::int64_t part_elements() const {
    return std::max<std::int64_t>(1, group_.part_bytes / static_cast<std::int64_t>(sizeof(T)));
  }

  Watchdog::Watch watched(const Tag& tag) { return {shared_->watchdog, tag, group_.members}; }

  /// Each rank compares its call with that of the rank before it: where two differ, two neighbours do. One message of
  /// 64 bytes a rank. Those who find no difference go on, and are ended by those who do.
  void agree(const Call& call, ConstBytes values) {
    if (world_size() == 1) return;
    const Description mine(call, std::ssize(values));
    const int other = before(1), mpi_tag = group_.mpi_tag(++channel_);
    check_call(MPI_Sendrecv(&mine, sizeof mine, MPI_BYTE, behind(1), mpi_tag, first_.get(),
                            static_cast<int>(kFirstBytes), MPI_BYTE, other, mpi_tag, group_.comm, MPI_STATUS_IGNORE),
               "MPI_Sendrecv", call.tag);
    Description theirs;
    std::memcpy(static_cast<void*>(&theirs), first_.get(), sizeof theirs);
    check_same_call(group_, call, other, theirs);
    if (theirs.bytes != mine.bytes)
      throw different_lengths(group_.member(rank()), mine.bytes, group_.member(other), theirs.bytes, call.tag);
  }

  std::unique_ptr<MessageCall> compare_in_ring(const Call& call, std::uint32_t channel, ConstBytes values) {
    const Outgoing word{behind(1), values};
    const Incoming other{before(1), {const_cast<std::byte*>(values.data()), values.size()}};  // its size alone is used
    return std::make_unique<MessageCall>(group_, call, channel, std::span(&word, 1), std::span(&other, 1), Data::none);
  }

  void check_own_chunk(const Tag& tag, ConstBytes send, ConstBytes recv) const {
    const int self = group_.member(rank());
    if (send.size() != recv.size()) throw different_sizes(self, std::ssize(send), self, std::ssize(recv), tag);
  }

  /// Messages to and from all others, in an order in which no rank is everybody's first.
  void to_and_from_all(const Tag& tag, ConstChunks send, Chunks recv) {
    check_own_chunk(tag, send[rank()], recv[rank()]);
    outgoing_.clear();
    incoming_.clear();
    for (int step = 1; step < world_size(); ++step) {
      outgoing_.push_back({behind(step), send[behind(step)]});
      incoming_.push_back({before(step), recv[before(step)]});
    }
  }

  /// The first messages of a call in which everybody hears from everybody. They bring the data as well where no chunk
  /// of any rank is large; otherwise all know from the flags that the data follow.
  MessageCall first_words(const Call& call, std::int64_t total_bytes) {
    const bool is_large =
        std::ranges::any_of(outgoing_, [](const Outgoing& message) { return message.bytes.size() > kInlineBytes; });
    const auto flags =
        (is_large ? Description::kLarge : 0) | (total_bytes > group_.part_bytes ? Description::kHuge : 0);
    return MessageCall(group_, call, ++channel_, outgoing_, incoming_, Data::if_small,
                       static_cast<std::uint8_t>(flags));
  }

  static std::pair<std::vector<int>, std::vector<int>> counts_and_starts(std::span<const std::int64_t> offsets) {
    std::vector<int> counts, starts;  // part_bytes and so every offset is below 2^31
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      counts.push_back(static_cast<int>(offsets[i + 1] - offsets[i]));
      starts.push_back(static_cast<int>(offsets[i]));
    }
    return {counts, starts};
  }

  void broadcast_in_parts(const Tag& tag, int root, Bytes bytes) const {
    in_parts(bytes, group_.part_bytes, [&](Bytes part) {
      check_call(MPI_Bcast(part.data(), static_cast<int>(part.size()), MPI_BYTE, root, group_.comm), "MPI_Bcast", tag);
    });
  }

  template <typename T>
  void reduce(const Tag& tag, std::span<T> values, MPI_Op operation, std::uint64_t kind) {
    const auto watch = watched(tag);
    agree({Collective::all_reduce, tag, kind}, std::as_bytes(values));
    if (world_size() == 1) return;
    in_parts(values, part_elements<T>(), [&](std::span<T> part) {
      check_call(MPI_Allreduce(MPI_IN_PLACE, part.data(), static_cast<int>(part.size()), mpi_type<T>(), operation,
                               group_.comm),
                 "MPI_Allreduce", tag);
    });
  }

  const std::shared_ptr<Rank> shared_;
  MpiGroup group_;
  std::vector<int> node_of_;
  std::uint32_t channel_ = 0;  // of the latest collective or opened channel
  std::vector<Outgoing> outgoing_;
  std::vector<Incoming> incoming_;
  std::unique_ptr<std::byte[]> first_ = std::make_unique_for_overwrite<std::byte[]>(kFirstBytes);
};

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MpiOptions options) {
  auto* const mpi = mpi_state();
  if (!mpi) throw std::logic_error("make_mpi_communicator needs an MpiSession");
  if (!options.machines.empty() && std::ssize(options.machines) != mpi->world_size)
    throw std::logic_error("MpiOptions::machines needs a machine for each rank");
  std::vector<int> everyone;
  for (int rank = 0; rank < mpi->world_size; ++rank) everyone.push_back(rank);
  return std::make_unique<MpiCommunicator>(std::make_shared<Rank>(*mpi, options), mpi->world, std::move(everyone),
                                           options.machines.empty() ? mpi->node_of : options.machines,
                                           options.part_bytes);
}

}  // namespace swallowtail
