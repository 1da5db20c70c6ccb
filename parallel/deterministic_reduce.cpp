#include "parallel/deterministic_reduce.h"

#include <fmt/format.h>

#include <algorithm>

#include "parallel/error.h"

namespace swallowtail {

namespace {

struct TreeNode {
  int level;
  std::int64_t index;
};

std::int64_t first_chunk_of(int level, std::int64_t index) { return index << level; }

/// Whether the right neighbour of a left child holds no chunk: then the parent is the node itself.
bool stands_for_parent(std::int64_t chunks, int level, std::int64_t index) {
  return index % 2 == 0 && index > 0 && first_chunk_of(level, index + 1) >= chunks;
}

/// The nodes that a rank with the chunks [first, end) can add up alone, in order. The same walk as FixedOrderSum::push
/// without values, so that every rank knows what every other one sends.
std::vector<TreeNode> complete_nodes(std::int64_t chunks, std::int64_t first, std::int64_t end) {
  std::vector<TreeNode> stack;
  for (auto chunk = first; chunk < end; ++chunk) {
    TreeNode node{0, chunk};
    for (;;) {
      if (stands_for_parent(chunks, node.level, node.index)) {
        node = {node.level + 1, node.index / 2};
      } else if (node.index % 2 == 1 && !stack.empty() && stack.back().level == node.level &&
                 stack.back().index == node.index - 1) {
        stack.pop_back();
        node = {node.level + 1, node.index / 2};
      } else {
        break;
      }
    }
    stack.push_back(node);
  }
  return stack;
}

std::int64_t slice_start(std::int64_t values, int rank, int world_size) { return values * rank / world_size; }

}  // namespace

std::pair<std::int64_t, std::int64_t> chunk_share(std::int64_t chunks, int rank, int world_size) {
  return {chunks * rank / world_size, chunks * (rank + 1) / world_size};
}

template <typename T>
FixedOrderSum<T>::FixedOrderSum(std::int64_t values_per_chunk, std::int64_t chunks, std::int64_t first_chunk,
                                std::int64_t end_chunk)
    : values_per_chunk_(values_per_chunk),
      chunks_(chunks),
      first_chunk_(first_chunk),
      end_chunk_(end_chunk),
      next_chunk_(first_chunk) {}

template <typename T>
std::vector<T> FixedOrderSum<T>::take_buffer(std::span<const T> values) {
  if (free_.empty()) return {values.begin(), values.end()};
  auto buffer = std::move(free_.back());
  free_.pop_back();
  buffer.assign(values.begin(), values.end());
  return buffer;
}

template <typename T>
void FixedOrderSum<T>::push(int level, std::int64_t index, std::span<const T> values) {
  auto node = Node{level, index, take_buffer(values)};
  for (;;) {
    if (stands_for_parent(chunks_, node.level, node.index)) {
      ++node.level;
      node.index /= 2;
    } else if (node.index % 2 == 1 && !stack_.empty() && stack_.back().level == node.level &&
               stack_.back().index == node.index - 1) {
      auto& left = stack_.back().values;
      for (std::size_t i = 0; i < left.size(); ++i) left[i] += node.values[i];
      free_.push_back(std::move(node.values));
      node = Node{node.level + 1, node.index / 2, std::move(left)};
      stack_.pop_back();
    } else {
      break;
    }
  }
  stack_.push_back(std::move(node));
}

template <typename T>
void FixedOrderSum<T>::add(std::int64_t chunk, std::span<const T> values) {
  if (chunk != next_chunk_ || chunk >= end_chunk_ || std::ssize(values) != values_per_chunk_)
    throw Error{ExitCode::rank,
                fmt::format("chunk {} with {} values was added where chunk {} of [{}, {}) with {} values is next",
                            chunk, values.size(), next_chunk_, first_chunk_, end_chunk_, values_per_chunk_)};
  ++next_chunk_;
  push(0, chunk, values);
}

template <typename T>
void FixedOrderSum<T>::clear() {
  for (auto& node : stack_) free_.push_back(std::move(node.values));
  stack_.clear();
}

template <typename T>
void FixedOrderSum<T>::finish(Communicator& ranks, const Tag& tag, std::span<T> out) {
  const int rank = ranks.rank(), world_size = ranks.world_size();
  if (std::pair{first_chunk_, end_chunk_} != chunk_share(chunks_, rank, world_size) || next_chunk_ != end_chunk_ ||
      std::ssize(out) != values_per_chunk_)
    throw Error{ExitCode::rank,
                fmt::format("the sum '{}' over {} chunks has chunks [{}, {}) of [{}, {}) and wants {} of {} values",
                            tag.operation, chunks_, first_chunk_, next_chunk_, first_chunk_, end_chunk_, out.size(),
                            values_per_chunk_),
                fmt::format("rank {}", rank)};
  if (world_size == 1) {
    if (stack_.empty())
      std::ranges::fill(out, T{0});
    else
      std::ranges::copy(stack_.front().values, out.begin());
    clear();
    next_chunk_ = first_chunk_;
    return;
  }
  const auto slice = [&](int owner) { return slice_start(values_per_chunk_, owner, world_size); };
  const auto slice_size = [&](int owner) { return slice(owner + 1) - slice(owner); };

  // The slices of every node of this rank, by owner; then what the other ranks hold of this rank's slice.
  std::vector<std::int64_t> send_counts, recv_counts, slice_counts;
  std::vector<std::vector<TreeNode>> nodes_of;
  send_.clear();
  for (int other = 0; other < world_size; ++other) {
    const auto [first, end] = chunk_share(chunks_, other, world_size);
    nodes_of.push_back(complete_nodes(chunks_, first, end));
    for (const auto& node : stack_)
      send_.insert(send_.end(), node.values.begin() + slice(other), node.values.begin() + slice(other + 1));
    send_counts.push_back(std::ssize(stack_) * slice_size(other));
    recv_counts.push_back(std::ssize(nodes_of.back()) * slice_size(rank));
    slice_counts.push_back(slice_size(other));
  }
  const auto send_offsets = byte_offsets(send_counts, sizeof(T)), recv_offsets = byte_offsets(recv_counts, sizeof(T)),
             slice_offsets = byte_offsets(slice_counts, sizeof(T));
  recv_.resize(static_cast<std::size_t>(recv_offsets.back()) / sizeof(T));
  ranks.all_to_all(tag, {std::as_bytes(std::span(send_)), send_offsets},
                   {std::as_writable_bytes(std::span(recv_)), recv_offsets});

  // Ranks hold rising ranges of chunks, so their nodes in turn are the tree from left to right.
  clear();
  auto at = std::span<const T>(recv_);
  const auto own = static_cast<std::size_t>(slice_size(rank));
  for (const auto& nodes : nodes_of)
    for (const auto& node : nodes) {
      push(node.level, node.index, at.first(own));
      at = at.subspan(own);
    }
  std::vector<T> total(own, T{0});
  if (!stack_.empty()) total = stack_.front().values;
  clear();
  next_chunk_ = first_chunk_;
  ranks.all_gather(tag, std::as_bytes(std::span(std::as_const(total))), {std::as_writable_bytes(out), slice_offsets});
}

template class FixedOrderSum<float>;
template class FixedOrderSum<double>;

}  // namespace swallowtail
