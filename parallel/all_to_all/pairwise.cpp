// Pairwise exchange: in round k rank r sends to r + k and receives from r - k, so no port serves two flows; each byte
// crosses the network once. Per rank: P - 1 rounds, P - 1 messages, S * (P - 1) / P bytes for S bytes of equal chunks.
// Source: Thakur et al., IJHPCA 2005, all-to-all.
#include "parallel/all_to_all/schedule.h"

namespace swallowtail {

namespace {

class Pairwise final : public Schedule {
 public:
  Pairwise(int rank, int world_size) : rank_(rank), world_size_(world_size) {}

  bool next(Round& round) override {
    round.clear();
    if (++step_ >= world_size_) return false;
    const int from = (rank_ + world_size_ - step_) % world_size_, to = (rank_ + step_) % world_size_;
    round.begin_receive(from);
    round.add({from, rank_});
    round.end_message();
    round.begin_send(to);
    round.add({rank_, to});
    round.end_message();
    return true;
  }

 private:
  const int rank_, world_size_;
  int step_ = 0;
};

}  // namespace

std::unique_ptr<Schedule> make_pairwise(int rank, const Topology& topology) {
  return std::make_unique<Pairwise>(rank, topology.world_size());
}

}  // namespace swallowtail
