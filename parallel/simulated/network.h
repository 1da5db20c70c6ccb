// What a network costs, as plain numbers: measured at start-up, or read from a cluster file by the one who calls.
// LogGP (Alexandrov et al., SPAA 1995) with three links: inside a node, from node to node, and the spine above the
// nodes.
#pragma once

#include <limits>
#include <string>

namespace swallowtail {

/// One kind of link. A message of b bytes over an idle one takes
/// message_overhead_s + latency_s + b / bandwidth_bytes_per_s + message_overhead_s (sender, link, receiver).
struct Link {
  double latency_s = 0;           // of an empty message, from one end to the other, without the ends' own work
  double message_overhead_s = 0;  // a rank is busy this long for each message that it sends, and for each it receives
  double bandwidth_bytes_per_s = 0;  // each way
  bool operator==(const Link&) const = default;
};

struct NetworkDescription {
  std::string name;                   // "h100", "measured", …: for messages
  Link node;                          // between two ranks of a node; its bandwidth is one rank's
  Link rail;                          // between ranks of two nodes; its bandwidth is one NIC's
  int ranks_per_node = 1;             // of a full node
  int rails_per_node = 1;             // NICs a node; the rank at place p of its node uses rail p % rails_per_node
  double spine_latency_s = 0;         // more for a message whose ends are on different rails
  double spine_oversubscription = 1;  // all NICs of a node together get 1 / this of their bandwidth; 1: full bisection
  double copy_bandwidth_bytes_per_s = std::numeric_limits<double>::infinity();  // packing of forwarded blocks, a rank
  double round_overhead_s = 0;  // for each round of an exchange beside its messages: kernel launches, synchronisation
  bool operator==(const NetworkDescription&) const = default;
};

}  // namespace swallowtail
