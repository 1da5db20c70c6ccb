// Butterfly: in round k a rank sends every block that it holds and whose way has bit k set, over the distance 2^k.
// Where P is a power of two the way of block (s, d) is s xor d and partners swap (hypercube: with 2^n ranks a node the
// first n rounds stay inside the node); for any other P it is (d - s) mod P (Bruck et al., IEEE TPDS 1997, index
// algorithm). Per rank: ceil(log2 P) rounds, one message each, about S / 2 bytes a round for S bytes of equal chunks,
// and two copies of them. Forwarded blocks stay in memory until the exchange ends: S / 2 * log2 P bytes at most.
#include <bit>

#include "parallel/all_to_all/schedule.h"

namespace swallowtail {

namespace {

class Butterfly final : public Schedule {
 public:
  Butterfly(int rank, int world_size)
      : rank_(rank), world_size_(world_size), is_hypercube_(std::has_single_bit(static_cast<unsigned>(world_size))) {}

  bool next(Round& round) override {
    round.clear();
    if (distance_ >= world_size_) return false;
    const int to = ahead(rank_, distance_), from = behind(rank_, distance_);
    round.begin_receive(from);
    add_blocks(round, from);
    round.begin_send(to);
    add_blocks(round, rank_);
    distance_ *= 2;
    return true;
  }

 private:
  int ahead(int rank, int way) const { return is_hypercube_ ? rank ^ way : (rank + way) % world_size_; }
  int behind(int rank, int way) const { return is_hypercube_ ? rank ^ way : (rank + world_size_ - way) % world_size_; }

  /// What `sender` sends in this round: the blocks that have come to it over the lower bits of their way.
  void add_blocks(Round& round, int sender) const {
    for (int way = distance_; way < world_size_; ++way)
      if (way & distance_) {
        const int source = behind(sender, way & (distance_ - 1));
        round.add({source, ahead(source, way)});
      }
    round.end_message();
  }

  const int rank_, world_size_;
  const bool is_hypercube_;
  int distance_ = 1;
};

}  // namespace

std::unique_ptr<Schedule> make_butterfly(int rank, const Topology& topology) {
  return std::make_unique<Butterfly>(rank, topology.world_size());
}

}  // namespace swallowtail
