// The all-to-all algorithms by name, and the exchange that chooses among them. Each delivers the same bytes; they
// differ in the number and size of messages. A new one is one file beside this and one line in all_to_all.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/all_to_all/cost_model.h"
#include "parallel/all_to_all/schedule.h"
#include "parallel/communicator.h"

namespace swallowtail {

struct AllToAllEntry {
  std::string_view name;
  std::string_view meaning;  // one line for --help and the reference page
  MakeSchedule make;         // null for `library`, which is the communicator's own all_to_all
  /// What the cost model takes for it: `make`, or for `library` what it is most like.
  MakeSchedule modelled_as;
};

/// All algorithms, sorted by name.
std::span<const AllToAllEntry> all_to_all_algorithms() noexcept;

/// Null where there is none of that name: the configuration answers with the nearest one.
const AllToAllEntry* find_all_to_all(std::string_view name) noexcept;

/// The all-to-all exchange of a run. Every rank makes the same calls.
class AllToAll {
 public:
  /// `algorithm`: a name, or `auto`, which takes for each exchange what `costs` says is fastest; then `costs` is the
  /// same on every rank. The communicator outlives this. Errors: Error (ExitCode::usage) for an unknown name.
  AllToAll(std::string_view algorithm, Communicator& ranks, std::shared_ptr<const CostModel> costs = nullptr);

  /// Communicator::all_to_all. expected_bytes_a_peer: about the mean chunk, by which `auto` chooses; the same on every
  /// rank, made of what all know (batch size, widths), never of this rank's own counts.
  /// Errors: those of the communicator. Ranks that name different algorithms get one that names both sides.
  void run(const Tag& tag, ConstChunks send, Chunks recv, std::int64_t expected_bytes_a_peer);
  /// The same under way; not to outlive this. Several may be, and are waited for in the order in which they were begun.
  std::unique_ptr<Pending> start(const Tag& tag, ConstChunks send, Chunks recv, std::int64_t expected_bytes_a_peer);

  /// The algorithm for exchanges of this size.
  const AllToAllEntry& chosen(std::int64_t bytes_a_peer) const;

  /// From this size on, up to that of the next one, this algorithm is taken; `seconds` at its smallest size.
  struct Choice {
    std::int64_t from_bytes = 0;
    std::string_view algorithm;
    double seconds = 0;  // predicted; 0 where nothing was to choose
  };
  /// For 1 B to 64 MB, where the choice changes at a power of two.
  std::vector<Choice> choices() const;
  /// "hierarchical below 2.0 KiB, library above": the line for the log.
  std::string describe() const;

 private:
  Communicator& ranks_;
  const Topology topology_;
  const std::shared_ptr<const CostModel> costs_;
  const AllToAllEntry* fixed_ = nullptr;
  std::vector<const AllToAllEntry*> by_size_;  // auto: by the size's logarithm, in quarters
};

/// Communicator::all_to_all by the named algorithm.
/// Errors: those of Communicator; Error (ExitCode::usage) for an unknown name.
void all_to_all(std::string_view algorithm, Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv);

}  // namespace swallowtail
