#include "parallel/mpi_messages.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "parallel/mpi_session.h"

namespace swallowtail {

Description::Description(const Call& call, std::int64_t call_bytes)
    : hash(call_hash(call)),
      bytes(call_bytes),
      step(call.tag.step),
      detail(call.tag.detail),
      extra(call.extra),
      collective(call.collective) {
  std::copy_n(call.tag.operation.begin(), std::min(call.tag.operation.size(), operation.size()), operation.begin());
}

Call Description::call() const {
  return {collective, {{operation.data(), strnlen(operation.data(), operation.size())}, step, detail}, extra};
}

void check_call(int result, std::string_view function, const Tag& tag) {
  if (result == MPI_SUCCESS) return;
  std::this_thread::sleep_for(std::chrono::seconds(1));
  check_mpi(result, function, call_name(tag.operation, tag.step));
}

void check_same_call(const MpiGroup& group, const Call& call, int other, const Description& theirs) {
  if (theirs.hash != call_hash(call))
    throw different_calls(group.member(group.rank), call, group.member(other), theirs.call());
}

MessageCall::MessageCall(MpiGroup& group, const Call& call, std::uint32_t channel, std::span<const Outgoing> outgoing,
                         std::span<const Incoming> incoming, Data data, std::uint8_t flags)
    : group_(group), call_(call), mpi_tag_(group.mpi_tag(channel)), data_(data), flags_(flags) {
  if (group.spare.empty()) {
    work_ = std::make_unique<MpiGroup::Workspace>();
  } else {
    work_ = std::move(group.spare.back());
    group.spare.pop_back();
  }
  auto& [requests, indices, expected, memory, memory_bytes] = *work_;
  requests.clear();
  expected.clear();
  for (const auto& message : incoming)
    if (message.from != group.rank) expected.push_back(message);
  first_left_ = expected.size();
  indices.resize(first_left_);
  incoming_flags_.assign(first_left_, 0);

  // Pages that no message needs are never touched.
  const auto bytes = (expected.size() + outgoing.size()) * kFirstBytes;
  if (bytes > memory_bytes) {
    memory = std::make_unique_for_overwrite<std::byte[]>(bytes);
    memory_bytes = bytes;
  }
  for (std::size_t i = 0; i < expected.size(); ++i)
    check_call(MPI_Irecv(first_message(i), static_cast<int>(kFirstBytes), MPI_BYTE, expected[i].from, mpi_tag_,
                         group.comm, add_request()),
               "MPI_Irecv", call.tag);
  if (data == Data::with_words)
    for (const auto& message : expected)
      if (!message.any_size && message.bytes.size() > kInlineBytes) receive(message);
  auto* place = first_message(expected.size());
  for (const auto& message : outgoing)
    if (message.to != group.rank) send(message, place, flags);

  for (const auto& mine : incoming) {
    if (mine.from != group.rank || data != Data::with_words) continue;
    const auto sent = std::ranges::find(outgoing, group.rank, &Outgoing::to)->bytes;
    if (mine.any_size)
      mine.any_size->assign(sent.begin(), sent.end());
    else
      std::ranges::copy(sent, mine.bytes.begin());
  }
}

MessageCall::~MessageCall() {
  if (is_done_) {
    group_.spare.push_back(std::move(work_));
    return;
  }
  // The run is about to end. What MPI may still read or write is left to it, what waits for others is taken back.
  for (std::size_t i = 0; i < incoming_flags_.size(); ++i) {
    auto& request = work_->requests[i];
    if (request != MPI_REQUEST_NULL) MPI_Cancel(&request);
  }
  static_cast<void>(work_.release());
}

void MessageCall::receive(const Incoming& message) {
  const auto bytes = message.any_size ? std::as_writable_bytes(std::span(*message.any_size)) : message.bytes;
  in_parts(bytes, group_.part_bytes, [&](std::span<std::byte> part) {
    check_call(MPI_Irecv(part.data(), static_cast<int>(part.size()), MPI_BYTE, message.from, mpi_tag_, group_.comm,
                         add_request()),
               "MPI_Irecv", call_.tag);
  });
}

/// `place` is where the first message may stand; moved behind it.
void MessageCall::send(const Outgoing& message, std::byte*& place, std::uint8_t flags) {
  Description words(call_, std::ssize(message.bytes));
  const bool travels = data_ == Data::with_words || (data_ == Data::if_small && (flags & Description::kLarge) == 0);
  const bool is_inlined = travels && message.bytes.size() <= kInlineBytes;
  words.flags = static_cast<std::uint8_t>(flags | (is_inlined ? Description::kInlined : 0));
  std::memcpy(place, &words, sizeof words);
  auto bytes = sizeof words;
  if (is_inlined && !message.bytes.empty()) {
    std::memcpy(place + bytes, message.bytes.data(), message.bytes.size());
    bytes += message.bytes.size();
  }
  check_call(MPI_Isend(place, static_cast<int>(bytes), MPI_BYTE, message.to, mpi_tag_, group_.comm, add_request()),
             "MPI_Isend", call_.tag);
  place += (bytes + sizeof words - 1) / sizeof words * sizeof words;
  if (!travels || is_inlined) return;
  in_parts(message.bytes, group_.part_bytes, [&](std::span<const std::byte> part) {
    check_call(MPI_Isend(part.data(), static_cast<int>(part.size()), MPI_BYTE, message.to, mpi_tag_, group_.comm,
                         add_request()),
               "MPI_Isend", call_.tag);
  });
}

void MessageCall::accept(std::size_t i) {
  const auto message = work_->incoming[i];
  Description words;
  std::memcpy(static_cast<void*>(&words), first_message(i), sizeof words);
  check_same_call(group_, call_, message.from, words);
  const int self = group_.member(group_.rank), other = group_.member(message.from);
  if (!message.any_size && words.bytes != std::ssize(message.bytes)) {
    if (data_ == Data::none) throw different_lengths(self, std::ssize(message.bytes), other, words.bytes, call_.tag);
    throw different_sizes(other, words.bytes, self, std::ssize(message.bytes), call_.tag);
  }
  incoming_flags_[i] = words.flags;
  flags_ = static_cast<std::uint8_t>(flags_ | words.flags);
  const bool is_inlined = (words.flags & Description::kInlined) != 0;
  if (message.any_size) {
    message.any_size->resize(static_cast<std::size_t>(words.bytes));
    if (!is_inlined) receive(message);
  }
  if (!is_inlined || words.bytes == 0) return;
  auto* const target = message.any_size ? message.any_size->data() : message.bytes.data();
  std::memcpy(target, first_message(i) + sizeof words, static_cast<std::size_t>(words.bytes));
}

void MessageCall::accept_some(int count) {
  first_left_ -= static_cast<std::size_t>(count);
  for (int i = 0; i < count; ++i) accept(static_cast<std::size_t>(work_->indices[static_cast<std::size_t>(i)]));
}

bool MessageCall::test() {
  if (is_done_) return true;
  auto& requests = work_->requests;
  if (first_left_ > 0) {
    int count = 0;
    check_call(MPI_Testsome(static_cast<int>(incoming_flags_.size()), requests.data(), &count, work_->indices.data(),
                            MPI_STATUSES_IGNORE),
               "MPI_Testsome", call_.tag);
    accept_some(count);
    if (first_left_ > 0) return false;
  }
  int all = 0;
  check_call(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &all, MPI_STATUSES_IGNORE), "MPI_Testall",
             call_.tag);
  return is_done_ = all != 0;
}

void MessageCall::finish() {
  if (is_done_) return;
  auto& requests = work_->requests;
  while (first_left_ > 0) {
    int count = 0;
    check_call(MPI_Waitsome(static_cast<int>(incoming_flags_.size()), requests.data(), &count, work_->indices.data(),
                            MPI_STATUSES_IGNORE),
               "MPI_Waitsome", call_.tag);
    accept_some(count);
  }
  check_call(MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE), "MPI_Waitall",
             call_.tag);
  is_done_ = true;
}

void MessageCall::wait() {
  if (is_done_) return;
  const Watchdog::Watch watch(*group_.watchdog, call_.tag, group_.members, false);
  finish();
}

}  // namespace swallowtail
