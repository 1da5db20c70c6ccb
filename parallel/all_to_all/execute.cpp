#include "parallel/all_to_all/execute.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "parallel/agreement.h"

namespace swallowtail {

namespace {

using ConstBytes = std::span<const std::byte>;

void copy(ConstBytes from, std::span<std::byte> to) {
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

class ScheduledExchange final : public Pending {
 public:
  ScheduledExchange(Communicator& ranks, const Tag& tag, std::unique_ptr<Schedule> schedule, ConstChunks send,
                    Chunks recv)
      : ranks_(ranks),
        tag_(tag),
        channel_(ranks.open_channel()),
        schedule_(std::move(schedule)),
        send_(send),
        recv_(recv) {
    const int self = ranks_.rank();
    if (send_[self].size() != recv_[self].size())
      throw different_sizes(self, std::ssize(send_[self]), self, std::ssize(recv_[self]), tag_);
    copy(send_[self], recv_[self]);
    start_round();
  }

  bool test() override {
    while (pending_) {
      if (!pending_->test()) return false;
      end_round();
    }
    return true;
  }

  void wait() override {
    while (pending_) {
      pending_->wait();
      end_round();
    }
  }

 private:
  static std::uint64_t key(Block block) {
    return static_cast<std::uint64_t>(block.source) << 32 | static_cast<std::uint32_t>(block.destination);
  }

  ConstBytes bytes_of(Block block) const {
    return block.source == ranks_.rank() ? send_[block.destination] : forwarded_.at(key(block));
  }

  /// Rounds in which this rank has no message are passed by.
  void start_round() {
    pending_.reset();
    while (schedule_->next(round_))
      if (!round_.sends.empty() || !round_.receives.empty()) return start_messages();
    forwarded_.clear();
    arrived_.clear();
  }

  void start_messages() {
    outgoing_.clear();
    incoming_.clear();
    packed_.resize(std::max(packed_.size(), round_.sends.size()));
    auto packed = packed_.begin();
    for (const auto& message : round_.sends) {
      const auto blocks = round_.of(message);
      if (is_plain(blocks, ranks_.rank(), message.peer)) {
        outgoing_.push_back({message.peer, bytes_of(blocks[0])});
      } else {
        pack(blocks, *packed);
        outgoing_.push_back({message.peer, *packed++});
      }
    }
    auto& arrived = arrived_.emplace_back(round_.receives.size());
    auto place = arrived.begin();
    for (const auto& message : round_.receives) {
      const bool plain = is_plain(round_.of(message), message.peer, ranks_.rank());
      incoming_.push_back(plain ? Incoming{message.peer, recv_[message.peer]} : Incoming{message.peer, {}, &*place});
      ++place;
    }
    pending_ = ranks_.start_messages(tag_, channel_, outgoing_, incoming_);
  }

  void pack(std::span<const Block> blocks, std::vector<std::byte>& packed) const {
    std::size_t size = blocks.size() * kSizeBytes;
    for (const auto block : blocks) size += bytes_of(block).size();
    packed.resize(size);
    auto* const sizes = packed.data();
    auto* place = sizes + blocks.size() * kSizeBytes;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const auto bytes = bytes_of(blocks[i]);
      const auto block_size = static_cast<std::int64_t>(bytes.size());
      std::memcpy(sizes + i * kSizeBytes, &block_size, kSizeBytes);
      copy(bytes, {place, bytes.size()});
      place += bytes.size();
    }
  }

  void end_round() {
    auto place = arrived_.back().begin();
    for (const auto& message : round_.receives) {
      const auto blocks = round_.of(message);
      if (!is_plain(blocks, message.peer, ranks_.rank())) unpack(message.peer, blocks, *place);
      ++place;
    }
    start_round();
  }

  /// Blocks for this rank go to their places; the others stay where they came until they are sent on.
  void unpack(int sender, std::span<const Block> blocks, ConstBytes packed) {
    const auto front = blocks.size() * kSizeBytes;
    auto left = static_cast<std::int64_t>(packed.size()) - static_cast<std::int64_t>(front);
    if (left < 0)
      throw different_sizes(sender, std::ssize(packed), ranks_.rank(), static_cast<std::int64_t>(front), tag_);
    auto rest = packed.subspan(front);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      std::int64_t size = 0;
      std::memcpy(&size, packed.data() + i * kSizeBytes, kSizeBytes);
      if (size < 0 || size > std::ssize(rest))
        throw different_sizes(sender, std::ssize(packed), ranks_.rank(), size, tag_);
      const auto bytes = rest.first(static_cast<std::size_t>(size));
      rest = rest.subspan(bytes.size());
      if (blocks[i].destination != ranks_.rank()) {
        forwarded_[key(blocks[i])] = bytes;
        continue;
      }
      const auto to = recv_[blocks[i].source];
      if (to.size() != bytes.size()) throw different_sizes(blocks[i].source, size, ranks_.rank(), std::ssize(to), tag_);
      copy(bytes, to);
    }
  }

  Communicator& ranks_;
  const Tag tag_;
  const std::uint32_t channel_;
  const std::unique_ptr<Schedule> schedule_;
  const ConstChunks send_;
  const Chunks recv_;

  Round round_;
  std::vector<Outgoing> outgoing_;
  std::vector<Incoming> incoming_;
  std::vector<std::vector<std::byte>> packed_;
  std::vector<std::vector<std::vector<std::byte>>> arrived_;  // [round][message]
  std::unordered_map<std::uint64_t, ConstBytes> forwarded_;   // into arrived_
  std::unique_ptr<Pending> pending_;
};

}  // namespace

std::unique_ptr<Pending> start_schedule(Communicator& ranks, const Tag& tag, std::unique_ptr<Schedule> schedule,
                                        ConstChunks send, Chunks recv) {
  return std::make_unique<ScheduledExchange>(ranks, tag, std::move(schedule), send, recv);
}

}  // namespace swallowtail
