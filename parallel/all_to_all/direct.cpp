// Direct exchange: every rank sends every block to its destination at once. Nothing is forwarded, so nothing is copied,
// and a block is received where it belongs. Per rank: one round, P - 1 messages, S * (P - 1) / P bytes for S bytes of
// equal chunks. Ranks begin with different partners, so that not all send to rank 0 first. Source: the linear algorithm
// of Thakur et al., IJHPCA 2005, all-to-all.
#include "parallel/all_to_all/schedule.h"

namespace swallowtail {

namespace {

class Direct final : public Schedule {
 public:
  Direct(int rank, int world_size) : rank_(rank), world_size_(world_size) {}

  bool next(Round& round) override {
    round.clear();
    if (is_done_ || world_size_ == 1) return false;
    for (int step = 1; step < world_size_; ++step) {
      const int from = (rank_ + world_size_ - step) % world_size_, to = (rank_ + step) % world_size_;
      round.begin_receive(from);
      round.add({from, rank_});
      round.end_message();
      round.begin_send(to);
      round.add({rank_, to});
      round.end_message();
    }
    return is_done_ = true;
  }

 private:
  const int rank_, world_size_;
  bool is_done_ = false;
};

}  // namespace

std::unique_ptr<Schedule> make_direct(int rank, const Topology& topology) {
  return std::make_unique<Direct>(rank, topology.world_size());
}

}  // namespace swallowtail
