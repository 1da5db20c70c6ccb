// Hierarchical exchange. Between nodes of a and b ranks run min(a, b) flows, one a rail: flow q joins the ranks at
// place q of both nodes and carries what goes to the places p with p mod min(a, b) = q. Round 1 (within the node):
// blocks to neighbours, and blocks to other nodes to the neighbour at their rail. Round 2 (between nodes): one message
// a pair of nodes and rail. Round 3 (within the node): blocks whose place has no rail of its own; there are none where
// all nodes have the same number of ranks. Per rank with n ranks on each of N nodes: n - 1 + N - 1 messages instead of
// n * N - 1, and two copies of what leaves the node. Sources: rail-aligned exchange as NCCL's PXN does it; HugeCTR's
// hierarchical communication strategy; two-dimensional all-to-all of Tutel (Hwang et al., MLSys 2023).
#include <algorithm>

#include "parallel/all_to_all/schedule.h"

namespace swallowtail {

namespace {

class Hierarchical final : public Schedule {
 public:
  Hierarchical(int rank, const Topology& topology)
      : topology_(topology), rank_(rank), node_(topology.node(rank)), place_(topology.place(rank)) {
    const auto by_size = [](const auto& a, const auto& b) { return a.size() < b.size(); };
    const auto [least, most] = std::ranges::minmax_element(topology.ranks_of_node, by_size);
    has_round_[0] = most->size() > 1;
    has_round_[1] = topology.nodes() > 1;
    has_round_[2] = least->size() != most->size();
  }

  bool next(Round& round) override {
    round.clear();
    while (phase_ < 3 && !has_round_[phase_]) ++phase_;
    if (phase_ == 3) return false;
    switch (phase_++) {
      case 0:
        collect(round);
        break;
      case 1:
        cross(round);
        break;
      default:
        distribute(round);
    }
    return true;
  }

 private:
  int rails(int a, int b) const {
    return static_cast<int>(std::min(topology_.ranks(a).size(), topology_.ranks(b).size()));
  }

  /// Calls use(rank) for the others of this node, beginning with the next one.
  template <typename Use>
  void each_neighbour(Use use) const {
    const auto& ranks = topology_.ranks(node_);
    for (std::size_t step = 1; step < ranks.size(); ++step)
      use(ranks[(static_cast<std::size_t>(place_) + step) % ranks.size()]);
  }
  /// Calls use(node) for the other nodes, beginning with the next one.
  template <typename Use>
  void each_other_node(Use use) const {
    for (int step = 1; step < topology_.nodes(); ++step) use((node_ + step) % topology_.nodes());
  }

  /// Blocks of `source` that leave this node by its rank at `place`.
  void add_leaving(Round& round, int source, int place) const {
    each_other_node([&](int other) {
      const int flows = rails(node_, other);
      for (const int destination : topology_.ranks(other))
        if (topology_.place(destination) % flows == place) round.add({source, destination});
    });
  }

  void collect(Round& round) const {
    each_neighbour([&](int neighbour) {
      round.begin_receive(neighbour);
      round.add({neighbour, rank_});
      add_leaving(round, neighbour, place_);
      round.end_message();
      round.begin_send(neighbour);
      round.add({rank_, neighbour});
      add_leaving(round, rank_, topology_.place(neighbour));
      round.end_message();
    });
  }

  /// Blocks from node a to node b on the rail of this rank.
  void add_flow(Round& round, int a, int b) const {
    const int flows = rails(a, b);
    for (const int source : topology_.ranks(a))
      for (const int destination : topology_.ranks(b))
        if (topology_.place(destination) % flows == place_) round.add({source, destination});
    round.end_message();
  }

  void cross(Round& round) const {
    each_other_node([&](int other) {
      if (place_ >= rails(node_, other)) return;
      const int partner = topology_.ranks(other)[static_cast<std::size_t>(place_)];
      round.begin_receive(partner);
      add_flow(round, other, node_);
      round.begin_send(partner);
      add_flow(round, node_, other);
    });
  }

  /// Blocks to `destination`, which came to `carrier` by its rail and have to go on within the node.
  void add_arrived(Round& round, int carrier, int destination) const {
    each_other_node([&](int other) {
      if (topology_.place(destination) % rails(node_, other) != topology_.place(carrier)) return;
      for (const int source : topology_.ranks(other)) round.add({source, destination});
    });
    round.end_message();
  }

  void distribute(Round& round) const {
    each_neighbour([&](int neighbour) {
      round.begin_receive(neighbour);
      add_arrived(round, neighbour, rank_);
      round.begin_send(neighbour);
      add_arrived(round, rank_, neighbour);
    });
  }

  const Topology& topology_;
  const int rank_, node_, place_;
  bool has_round_[3];
  int phase_ = 0;
};

}  // namespace

std::unique_ptr<Schedule> make_hierarchical(int rank, const Topology& topology) {
  return std::make_unique<Hierarchical>(rank, topology);
}

}  // namespace swallowtail
