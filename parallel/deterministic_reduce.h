// Sums whose bits do not depend on the number of ranks. The global batch is cut into C chunks; each chunk gives a
// vector of n values; the chunks are added in one fixed binary tree over their index. Node k of level l stands for the
// chunks [k * 2^l, (k + 1) * 2^l); a node without right child is its left child, unchanged. So 1, 2, 4 and 8 ranks add
// the same pairs. Sources: pairwise summation (Higham, SIAM J. Sci. Comput. 1993); a fixed tree over data instead of
// ranks (Demmel and Nguyen, ARITH 2013, reproducible summation).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "parallel/communicator.h"

namespace swallowtail {

/// The chunks [first, end) of a rank: [chunks * rank / world_size, chunks * (rank + 1) / world_size). May be empty.
std::pair<std::int64_t, std::int64_t> chunk_share(std::int64_t chunks, int rank, int world_size);

/// One sum over all chunks of a step. Reusable: finish() makes it ready for the next step.
/// Memory: about 2 * log2(C) * n values while chunks are added, and once more the same while they are exchanged.
template <typename T>
class FixedOrderSum {
 public:
  /// n values a chunk, C chunks in all, of which this rank adds [first_chunk, end_chunk) = chunk_share(C, rank, ranks).
  FixedOrderSum(std::int64_t values_per_chunk, std::int64_t chunks, std::int64_t first_chunk, std::int64_t end_chunk);

  /// Chunks come in increasing order, each once; `values` has n entries and is copied.
  void add(std::int64_t chunk, std::span<const T> values);

  /// Collective: out[0..n) = the total over all ranks, the same bits on every rank and for every world size.
  /// Each rank sends its complete nodes slice-wise, the owner of a slice adds up the tree, the slices are gathered:
  /// about log2(C) * n values sent a rank, then n received. Without chunks the total is zero.
  /// Errors: Error (ExitCode::rank) where a chunk is missing or the range is not this rank's share.
  void finish(Communicator& ranks, const Tag& tag, std::span<T> out);

 private:
  struct Node {
    int level;
    std::int64_t index;
    std::vector<T> values;
  };

  /// Puts a node on the stack and adds up what is complete. The stack is a binary counter over chunks.
  void push(int level, std::int64_t index, std::span<const T> values);
  std::vector<T> take_buffer(std::span<const T> values);
  void clear();

  std::int64_t values_per_chunk_, chunks_, first_chunk_, end_chunk_, next_chunk_;
  std::vector<Node> stack_;
  std::vector<std::vector<T>> free_;
  std::vector<T> send_, recv_;
};

using TreeSum = FixedOrderSum<float>;
using TreeSumDouble = FixedOrderSum<double>;

}  // namespace swallowtail
