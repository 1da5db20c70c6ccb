// Ranks with a GPU each, by NCCL. Spans of the calls hold device memory. Built with SWALLOWTAIL_CUDA alone.
// NO GPU HAS RUN THIS YET: it compiles, links, and says well that there is no GPU.
#pragma once

#include <memory>

#include "parallel/communicator.h"
#include "parallel/error.h"

struct CUstream_st;  // what cudaStream_t points to

namespace swallowtail {

struct NcclOptions {
  int device = 0;                 // of this rank
  CUstream_st* stream = nullptr;  // cudaStream_t on which everything is done; null: the default stream
  double timeout_s = 300;         // parallel.timeout_s
};

/// A communicator over the ranks of `host`, which outlives it. Collective.
/// `host` carries what is not data: the start, the comparison of tags and sizes (a message of 16 bytes beside each
/// call, checked when the call is waited for), barrier's meeting, and the words about a rank that does not come.
///
/// What differs from other backends:
/// - Calls begin once the work that `options.stream` already holds is done. A call of the kind that waits returns when
///   its results lie in device memory; the others leave an event that their Pending asks.
/// - NCCL has no tags: between two ranks, messages meet in the order in which they were started, whatever their
///   channel. Ranks that start them in different orders are told so; nothing is delivered wrongly and unnoticed.
/// - Incoming::any_size is refused (ExitCode::usage): what it names is host memory.
/// Errors: Error (ExitCode::resources) where this rank has no such device; Error (ExitCode::rank) for what NCCL or CUDA
/// reports, a rank that disagrees, and a call that takes longer than timeout_s. NCCL's part is then aborted, so that no
/// kernel of it waits for ever.
std::unique_ptr<Communicator> make_nccl_communicator(Communicator& host, NcclOptions options = {});

}  // namespace swallowtail
