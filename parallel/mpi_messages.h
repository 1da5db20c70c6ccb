// Messages between MPI ranks that say what they are: the ground of mpi_communicator.cpp. It includes mpi.h.
// Each message begins with a Description, in the same MPI message where the data are small: one message, one overhead.
#pragma once

#define OMPI_SKIP_MPICXX 1
#include <mpi.h>

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "parallel/agreement.h"
#include "parallel/watchdog.h"

namespace swallowtail {

/// A call in plain data, for the comparison and for the words of an error.
struct Description {
  /// The data follow the description in its MPI message.
  static constexpr std::uint8_t kInlined = 1;
  /// The data follow in a collective call of MPI, and they or what this rank receives are too many for one.
  static constexpr std::uint8_t kLarge = 2, kHuge = 4;

  std::uint64_t hash = 0;  // call_hash
  std::int64_t bytes = 0;  // of the message; of a reduction's or broadcast's values
  std::int64_t step = 0;
  std::uint64_t detail = 0, extra = 0;
  std::array<char, 22> operation{};  // cut
  Collective collective = Collective::barrier;
  std::uint8_t flags = 0;

  Description() = default;
  Description(const Call& call, std::int64_t bytes);
  Call call() const;
};
static_assert(sizeof(Description) == 64);

/// Messages up to this size are copied behind their description. Above, a second MPI message (about 1 µs within a
/// machine) costs less than two copies, and the data are received where they belong.
constexpr std::size_t kInlineBytes = 8192;
constexpr std::size_t kFirstBytes = sizeof(Description) + kInlineBytes;

/// Ranks with an MPI communicator of their own.
struct MpiGroup {
  MPI_Comm comm = MPI_COMM_NULL;
  int rank = 0, size = 1;
  std::vector<int> members;  // ranks of the whole run
  std::int64_t part_bytes = 0;
  int tags = 1;  // MPI tags 1 … tags are for channels
  Watchdog* watchdog = nullptr;

  /// What a MessageCall works in, kept for the next one.
  struct Workspace {
    std::vector<MPI_Request> requests;
    std::vector<int> indices;
    std::vector<Incoming> incoming;
    std::unique_ptr<std::byte[]> first_messages;
    std::size_t first_messages_bytes = 0;
  };
  std::vector<std::unique_ptr<Workspace>> spare;

  int member(int other) const { return members[static_cast<std::size_t>(other)]; }
  /// Channels meet again after `tags` others, 32,767 at least, when the call of so long ago has ended.
  int mpi_tag(std::uint32_t channel) const {
    return channel == 0 ? 0 : 1 + static_cast<int>((channel - 1) % static_cast<std::uint32_t>(tags));
  }
};

/// Throws Error (ExitCode::rank) where an MPI call did not succeed; waits a moment before, because a rank that has
/// found the reason (ranks in different calls) may be about to end the run with better words.
void check_call(int result, std::string_view function, const Tag& tag);

/// Throws where `theirs`, of rank `other` of the group, is not of this call.
void check_same_call(const MpiGroup& group, const Call& call, int other, const Description& theirs);

/// Messages to and from other ranks of a group, and requests of MPI that belong to them.
class MessageCall final : public Pending {
 public:
  enum class Data : std::uint8_t {
    with_words,  // all data travel
    if_small,    // data travel where no chunk of the sender is beyond kInlineBytes
    none         // the sizes of `outgoing` and `incoming` are compared, as lengths, and nothing else
  };
  /// Sends and posts at once. Messages of the rank to itself are copied.
  MessageCall(MpiGroup& group, const Call& call, std::uint32_t channel, std::span<const Outgoing> outgoing,
              std::span<const Incoming> incoming, Data data = Data::with_words, std::uint8_t flags = 0);
  ~MessageCall() override;
  MessageCall(const MessageCall&) = delete;
  MessageCall& operator=(const MessageCall&) = delete;

  /// For a request that is part of this call.
  MPI_Request* add_request() { return &work_->requests.emplace_back(MPI_REQUEST_NULL); }

  bool test() override;
  void wait() override;
  void finish();  // wait() that is not watched: for a call that is watched already

  /// The flags of all senders together, this rank included; once done.
  std::uint8_t flags() const noexcept { return flags_; }
  /// Whether rank `other`, of those in `incoming`, sent kLarge; once done.
  const std::vector<std::uint8_t>& flags_of_incoming() const noexcept { return incoming_flags_; }

 private:
  std::byte* first_message(std::size_t i) const { return work_->first_messages.get() + i * kFirstBytes; }
  void receive(const Incoming& message);
  void send(const Outgoing& message, std::byte*& place, std::uint8_t flags);
  void accept(std::size_t i);
  void accept_some(int count);

  MpiGroup& group_;
  const Call call_;
  const int mpi_tag_;
  const Data data_;
  std::unique_ptr<MpiGroup::Workspace> work_;
  std::vector<std::uint8_t> incoming_flags_;
  std::size_t first_left_ = 0;  // first messages that have not come
  std::uint8_t flags_ = 0;
  bool is_done_ = false;
};

/// Cuts bytes into what one call of MPI takes.
template <typename Span, typename Function>
void in_parts(Span bytes, std::int64_t part_bytes, Function function) {
  const auto part = static_cast<std::size_t>(part_bytes);
  for (std::size_t start = 0; start < bytes.size(); start += part)
    function(bytes.subspan(start, std::min(part, bytes.size() - start)));
}

}  // namespace swallowtail
