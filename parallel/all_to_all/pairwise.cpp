// Pairwise exchange: each byte crosses the network once; best where chunks are large.
// Per rank: W - 1 messages, S * (W - 1) / W bytes for S bytes of equal chunks. Source: Thakur et al., IJHPCA 2005,
// all-to-all.
#include <algorithm>

#include "kernels/random.h"
#include "parallel/all_to_all/all_to_all.h"

namespace swallowtail {

void all_to_all_pairwise(Communicator& ranks, const Tag& tag, ConstChunks send, Chunks recv) {
  const int world_size = ranks.world_size(), self = ranks.rank();
  ranks.barrier({tag.operation, tag.step, random::mix(tag.detail ^ random::purpose("pairwise"))});
  ranks.exchange(tag, self, send[self], self, recv[self]);
  for (int step = 1; step < world_size; ++step) {
    const int to = (self + step) % world_size;
    const int from = (self + world_size - step) % world_size;
    ranks.exchange(tag, to, send[to], from, recv[from]);
  }
}

}  // namespace swallowtail
