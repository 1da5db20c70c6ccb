#include "parallel/simulated/message_collectives.h"

#include <algorithm>
#include <bit>

#include "parallel/agreement.h"
#include "parallel/all_to_all/execute.h"

namespace swallowtail {

namespace {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

/// The collective's name joins the tag, so that a barrier never meets a broadcast.
Tag tag_of(const Tag& tag, Collective collective, std::uint64_t extra = 0) {
  return {tag.operation, tag.step, call_hash({collective, tag, extra})};
}

struct Sum {
  template <typename T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <typename T>
  T operator()(T a, T b) const {
    return std::max(a, b);
  }
};

/// Part r of each rank's values goes to rank r, which combines them in the order of ranks.
template <typename T, typename Combine>
class PartReduction {
 public:
  PartReduction(Communicator& ranks, const Tag& tag, std::uint32_t channel, std::span<const T> values,
                std::span<const std::int64_t> offsets)
      : ranks_(ranks), values_(values), offsets_(offsets) {
    const int self = ranks.rank();
    parts_.resize(index(ranks.world_size()));
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int step = 1; step < ranks.world_size(); ++step) {
      const int to = (self + step) % ranks.world_size(), from = (self + ranks.world_size() - step) % ranks.world_size();
      parts_[index(from)].resize(part(self).size());
      outgoing.push_back({to, std::as_bytes(part(to))});
      incoming.push_back({from, std::as_writable_bytes(std::span(parts_[index(from)]))});
    }
    pending_ = ranks.start_messages(tag, channel, outgoing, incoming);
  }

  Pending& pending() { return *pending_; }

  /// Once pending() is done. `out` may be this rank's part of the values.
  void combine(std::span<T> out) const {
    std::vector<T> total;
    for (int from = 0; from < ranks_.world_size(); ++from) {
      const auto theirs = from == ranks_.rank() ? part(from) : std::span<const T>(parts_[index(from)]);
      if (from == 0)
        total.assign(theirs.begin(), theirs.end());
      else
        std::ranges::transform(total, theirs, total.begin(), Combine{});
    }
    std::ranges::copy(total, out.begin());
  }

 private:
  std::span<const T> part(int rank) const {
    return values_.subspan(index(offsets_[index(rank)]), index(offsets_[index(rank) + 1] - offsets_[index(rank)]));
  }

  Communicator& ranks_;
  const std::span<const T> values_;
  const std::span<const std::int64_t> offsets_;
  std::vector<std::vector<T>> parts_;
  std::unique_ptr<Pending> pending_;
};

std::unique_ptr<Pending> start_gather(Communicator& ranks, const Tag& tag, std::uint32_t channel, ConstBytes send,
                                      Chunks recv) {
  const int self = ranks.rank(), world_size = ranks.world_size();
  std::vector<Outgoing> outgoing;
  std::vector<Incoming> incoming;
  for (int step = 1; step < world_size; ++step) {
    const int from = (self + world_size - step) % world_size;
    outgoing.push_back({(self + step) % world_size, send});
    incoming.push_back({from, recv[from]});
  }
  return ranks.start_messages(tag, channel, outgoing, incoming);
}

template <typename T, typename Combine>
class AllReduction final : public Pending {
 public:
  AllReduction(Communicator& ranks, const Tag& tag, std::span<T> values)
      : ranks_(ranks),
        tag_(tag),
        values_(values),
        offsets_(parts(std::ssize(values), ranks.world_size())),
        channel_(ranks.open_channel()),
        reduction_(ranks, tag, channel_, values, offsets_) {}

  bool test() override {
    if (!gather_ && !reduction_.pending().test()) return false;
    if (!gather_) gather();
    return gather_->test();
  }
  void wait() override {
    if (!gather_) {
      reduction_.pending().wait();
      gather();
    }
    gather_->wait();
  }

 private:
  static std::vector<std::int64_t> parts(std::int64_t size, int ranks) {
    std::vector<std::int64_t> offsets;
    for (int rank = 0; rank <= ranks; ++rank) offsets.push_back(size * rank / ranks);
    return offsets;
  }

  void gather() {
    const auto own = index(ranks_.rank());
    const auto out = values_.subspan(index(offsets_[own]), index(offsets_[own + 1] - offsets_[own]));
    reduction_.combine(out);
    for (const auto offset : offsets_) byte_offsets_.push_back(offset * static_cast<std::int64_t>(sizeof(T)));
    gather_ = start_gather(ranks_, tag_, channel_, std::as_bytes(out), chunks(values_, byte_offsets_));
  }

  Communicator& ranks_;
  const Tag tag_;
  const std::span<T> values_;
  const std::vector<std::int64_t> offsets_;
  std::vector<std::int64_t> byte_offsets_;
  const std::uint32_t channel_;
  PartReduction<T, Combine> reduction_;
  std::unique_ptr<Pending> gather_;
};

template <typename Combine, typename T>
std::unique_ptr<Pending> start_reduce(Communicator& ranks, const Tag& tag, std::span<T> values, std::uint64_t kind) {
  return std::make_unique<AllReduction<T, Combine>>(ranks, tag_of(tag, Collective::all_reduce, kind), values);
}

}  // namespace

void MessageCollectives::all_to_all(const Tag& tag, ConstChunks send, Chunks recv) {
  start_all_to_all(tag, send, recv)->wait();
}

std::unique_ptr<Pending> MessageCollectives::start_all_to_all(const Tag& tag, ConstChunks send, Chunks recv) {
  const Topology topology(node_of());  // make_direct only asks it for the number of ranks
  return start_schedule(*this, tag_of(tag, Collective::all_to_all), make_direct(rank(), topology), send, recv);
}

void MessageCollectives::all_reduce_sum(const Tag& tag, std::span<float> values) {
  start_reduce<Sum>(*this, tag, values, 0)->wait();
}
void MessageCollectives::all_reduce_sum(const Tag& tag, std::span<double> values) {
  start_reduce<Sum>(*this, tag, values, 1)->wait();
}
void MessageCollectives::all_reduce_sum(const Tag& tag, std::span<std::int64_t> values) {
  start_reduce<Sum>(*this, tag, values, 2)->wait();
}
void MessageCollectives::all_reduce_max(const Tag& tag, std::span<std::int64_t> values) {
  start_reduce<Max>(*this, tag, values, 3)->wait();
}
std::unique_ptr<Pending> MessageCollectives::start_all_reduce_sum(const Tag& tag, std::span<float> values) {
  return start_reduce<Sum>(*this, tag, values, 0);
}

void MessageCollectives::reduce_scatter_sum(const Tag& tag, std::span<const float> values,
                                            std::span<const std::int64_t> offsets, std::span<float> out) {
  check_own_part(rank(), rank(), offsets, std::ssize(values), std::ssize(out), tag);
  PartReduction<float, Sum> reduction(*this, tag_of(tag, Collective::reduce_scatter, offsets_hash(offsets)),
                                      open_channel(), values, offsets);
  reduction.pending().wait();
  reduction.combine(out);
}

void MessageCollectives::all_gather(const Tag& tag, ConstBytes send, Chunks recv) {
  if (send.size() != recv[rank()].size())
    throw different_sizes(rank(), std::ssize(send), rank(), std::ssize(recv[rank()]), tag);
  const auto pending = start_gather(*this, tag_of(tag, Collective::all_gather), open_channel(), send, recv);
  std::ranges::copy(send, recv[rank()].begin());
  pending->wait();
}

void MessageCollectives::broadcast(const Tag& tag, int root, Bytes bytes) {
  const auto call = tag_of(tag, Collective::broadcast, static_cast<std::uint64_t>(root));
  const auto channel = open_channel();
  const int place = (rank() + world_size() - root) % world_size();  // in the tree
  const auto rank_at = [&](int other) { return (other + root) % world_size(); };
  if (place > 0) {
    const Incoming incoming{rank_at(place & (place - 1)), bytes};
    start_messages(call, channel, {}, {&incoming, 1})->wait();
  }
  const int below = place == 0 ? static_cast<int>(std::bit_ceil(static_cast<unsigned>(world_size())))
                               : place & -place;  // children: place + every smaller power of two
  std::vector<Outgoing> outgoing;
  for (int step = below / 2; step > 0; step /= 2)
    if (place + step < world_size()) outgoing.push_back({rank_at(place + step), bytes});
  if (!outgoing.empty()) start_messages(call, channel, outgoing, {})->wait();
}

void MessageCollectives::barrier(const Tag& tag) {
  const auto call = tag_of(tag, Collective::barrier);
  const auto channel = open_channel();
  for (int step = 1; step < world_size(); step *= 2) {
    const Outgoing outgoing{(rank() + step) % world_size(), {}};
    const Incoming incoming{(rank() + world_size() - step) % world_size(), {}};
    start_messages(call, channel, {&outgoing, 1}, {&incoming, 1})->wait();
  }
}

}  // namespace swallowtail
