// The planner's workbench: tables cut into parts, parts on ranks, and the moves that make the busiest rank less busy.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "parallel/sharding/planner.h"

namespace swallowtail {

/// How a table is cut: into row_parts x column_parts rectangles of nearly equal size, or copied to every rank.
struct TableCut {
  int row_parts = 1, column_parts = 1;
  bool is_copy = false;
  bool operator==(const TableCut&) const = default;
};

/// The largest rectangle that a cut leaves. Columns in whole blocks.
ShardShape largest_part(const TableSpec& table, const TableCut& cut);

/// All cuts that the table's wish and the options allow, with at most world_size parts: the wish's own cut, or for auto
/// tables whole first, then by rows, by columns, by both, copied. Row parts grow by doubling up to world_size.
std::vector<TableCut> allowed_cuts(const TableSpec& table, int world_size, const PlannerOptions& options);

/// One plan under construction. A value: copies try what the original keeps.
class PlanSearch {
 public:
  /// All spans outlive this.
  PlanSearch(std::span<const TableSpec> tables, std::span<const TableCost> costs, std::span<const int> node_of,
             const PlannerOptions& options);

  /// Takes a plan as it stands.
  void adopt(const ShardingPlan& plan);
  /// Cuts every table into the cheapest parts that are within the target (the smallest ones where none is) and places
  /// them, largest first, each on the rank that is least busy with it.
  /// One table may have a target of its own.
  struct OwnTarget {
    std::size_t table = 0;
    double seconds = 0;
  };
  void cut_all(double target_seconds, double target_bytes, std::optional<OwnTarget> own = {});
  /// The same, but tables divided by rows get parts that reach the target, and one that is left over.
  void cut_to_target(double target_seconds, double target_bytes);
  /// Cuts a few tables anew at random and places their parts, so that a local search that has ended may go on. The same
  /// for the same `draw`.
  void kick(std::uint64_t draw);
  /// Local search; returns the number of moves. At most `most_moves`.
  int improve(int most_moves);

  /// Seconds of the busiest rank, and much more where a rank's memory is exceeded.
  double objective() const;
  std::int64_t parts() const;
  ShardingPlan plan() const;

 private:
  struct Part {
    std::size_t table = 0;
    std::int64_t rows = 0, first_col = 0, cols = 0;  // first_col: of the parts that divide the same rows
    bool is_copy = false, is_fixed = false;
    int rank = -1;
    double seconds = 0, bytes = 0;
  };
  struct Rank {
    double seconds = 0, bytes = 0;
    std::vector<std::size_t> parts;
  };

  double level(double seconds, double bytes) const;
  double level(int rank) const;
  Part priced(Part part) const;
  bool holds(int rank, std::size_t table) const;
  void put(std::size_t part, int rank);
  void take(std::size_t part);
  void drop_table(std::size_t table);
  TableCut cheapest_cut(std::size_t table, double target_seconds, double target_bytes) const;
  std::vector<Part> cut(std::size_t table, const TableCut& cut) const;
  std::int64_t most_rows(std::size_t table, std::int64_t cols, double seconds, double bytes) const;
  std::vector<Part> cut_to_size(std::size_t table, double target_seconds, double target_bytes) const;
  void place(std::vector<Part> parts);
  void place_on_node(std::size_t table);
  double crowding(double reference) const;
  bool move_or_swap(int busiest);
  bool level_out(int busiest);
  bool cut_anew(int busiest);
  bool fill_up(std::size_t table);
  bool fill_up();
  std::vector<int> least_busy(std::size_t count) const;

  std::span<const TableSpec> tables_;
  std::span<const TableCost> costs_;
  std::span<const int> node_of_;
  const PlannerOptions* options_;
  std::shared_ptr<const std::vector<std::vector<TableCut>>> cuts_;  // [table] allowed
  std::vector<Part> parts_;                                         // rank < 0: gone
  std::vector<std::vector<std::size_t>> parts_of_table_;
  std::vector<Rank> ranks_;
  int cuts_left_ = 0;  // that improve() may still try
};

}  // namespace swallowtail
