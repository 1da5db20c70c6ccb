// The laws of Communicator, tried on the backend that is given: the MPI one by communicator_check under mpirun, the
// local one by tests/property/parallel. Of calls that return at once: pending_laws.h.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "kernels/random.h"
#include "parallel/all_to_all/all_to_all.h"
#include "parallel/communicator.h"
#include "parallel/deterministic_reduce.h"
#include "tests/multirank/payload.h"

namespace swallowtail {

/// Run by every rank; gathers the laws that this rank found broken.
class CommunicatorLaws {
 public:
  explicit CommunicatorLaws(Communicator& ranks)
      : ranks_(ranks), self_(ranks.rank()), world_size_(ranks.world_size()) {}

  void check(std::uint64_t seeds) {
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      check_all_to_all(seed);
      check_gather_and_broadcast(seed);
      check_reductions(seed);
      check_exchange(seed);
      check_reduce_scatter(seed);
    }
    check_barrier();
  }

  /// FNV-1a over the fixed-order totals of many shapes: the same on every rank and for every world size.
  std::uint64_t tree_digest() {
    std::uint64_t digest = 0xcbf29ce484222325ULL;
    for (const std::int64_t chunks : {0, 1, 2, 3, 7, 8, 13, 32, 40})
      for (const std::int64_t n : {0, 1, 7, 1000}) {
        const auto [first, end] = chunk_share(chunks, self_, world_size_);
        TreeSum sum(n, chunks, first, end);
        std::vector<float> values(static_cast<std::size_t>(n));
        for (auto chunk = first; chunk < end; ++chunk) {
          for (std::size_t i = 0; i < values.size(); ++i) {
            const auto key = random::bits(42, static_cast<std::uint64_t>(chunks), static_cast<std::uint64_t>(chunk), i);
            values[i] = static_cast<float>(std::ldexp(random::uniform(key) - 0.5, static_cast<int>(key % 40) - 20));
          }
          sum.add(chunk, values);
        }
        sum.finish(ranks_, {"tree", chunks}, values);
        for (const auto byte : std::as_bytes(std::span(values)))
          digest = (digest ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3ULL;
      }
    const auto mine = static_cast<std::int64_t>(digest >> 1);
    std::vector<std::int64_t> extremes{mine, -mine};
    ranks_.all_reduce_max({"digest"}, extremes);
    expect(extremes[0] == -extremes[1], "every rank has the same totals");
    return digest;
  }

  const std::vector<std::string>& broken() const { return broken_; }

 private:
  void expect(bool holds, const std::string& law) {
    if (!holds) broken_.push_back(law);
  }

  void check_all_to_all(std::uint64_t seed) {
    for (const auto& algorithm : all_to_all_algorithms()) {
      std::vector<std::int64_t> send_counts, recv_counts;
      for (int other = 0; other < world_size_; ++other) {
        send_counts.push_back(payload_bytes(seed, self_, other));
        recv_counts.push_back(payload_bytes(seed, other, self_));
      }
      ChunkBuffer send(send_counts), recv(recv_counts);
      for (int to = 0; to < world_size_; ++to) fill_payload(send.chunks()[to], seed, self_, to);
      all_to_all(algorithm.name, ranks_, {"check", static_cast<std::int64_t>(seed)}, send.const_chunks(),
                 recv.chunks());
      for (int from = 0; from < world_size_; ++from)
        expect(is_payload(recv.chunks()[from], seed, from, self_),
               fmt::format("{} delivers the chunk of rank {}, seed {}", algorithm.name, from, seed));
    }
  }

  void check_gather_and_broadcast(std::uint64_t seed) {
    constexpr int kAll = 999, kWord = 998;  // receivers that are no rank
    std::vector<std::int64_t> counts;
    for (int from = 0; from < world_size_; ++from) counts.push_back(payload_bytes(seed, from, kAll));
    ChunkBuffer all(counts), own({counts[static_cast<std::size_t>(self_)]});
    fill_payload(own.bytes, seed, self_, kAll);
    ranks_.all_gather({"check gather", 1}, own.bytes, all.chunks());
    for (int from = 0; from < world_size_; ++from)
      expect(is_payload(all.chunks()[from], seed, from, kAll),
             fmt::format("all_gather delivers rank {}, seed {}", from, seed));

    const int root = static_cast<int>(seed) % world_size_;
    ChunkBuffer word({payload_bytes(seed, 3, kWord)});
    if (self_ == root) fill_payload(word.bytes, seed, root, kWord);
    ranks_.broadcast({"check broadcast", 1}, root, word.bytes);
    expect(is_payload(word.bytes, seed, root, kWord), fmt::format("broadcast from {}, seed {}", root, seed));
  }

  /// Sums of small integers are exact in every order; sums of random floats need only be the same everywhere.
  void check_reductions(std::uint64_t seed) {
    const auto count = static_cast<std::size_t>(seed % 3 == 0 ? 0 : seed * 7);
    std::vector<float> floats(count), random_floats(count);
    std::vector<double> doubles(count);
    std::vector<std::int64_t> sums(count), largest(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto place = static_cast<std::int64_t>(i);
      floats[i] = static_cast<float>((self_ + 1) * (place % 97));
      doubles[i] = 1e6 * (self_ + 1) * static_cast<double>(place);
      sums[i] = (std::int64_t{1} << 40) * (self_ + 1) + place;
      largest[i] = (self_ * 7 + place * 3) % 11 - 20;
      random_floats[i] =
          static_cast<float>(random::uniform(random::bits(seed, 5, static_cast<std::uint64_t>(self_), i)));
    }
    ranks_.all_reduce_sum({"check", 1}, std::span(floats));
    ranks_.all_reduce_sum({"check", 2}, std::span(doubles));
    ranks_.all_reduce_sum({"check", 3}, std::span(sums));
    ranks_.all_reduce_max({"check", 4}, std::span(largest));
    ranks_.all_reduce_sum({"check", 5}, std::span(random_floats));
    const std::int64_t triangle = world_size_ * (world_size_ + 1) / 2;
    for (std::size_t i = 0; i < count; ++i) {
      const auto place = static_cast<std::int64_t>(i);
      std::int64_t max = -100;
      for (int rank = 0; rank < world_size_; ++rank)
        max = std::max<std::int64_t>(max, (rank * 7 + place * 3) % 11 - 20);
      const auto where = fmt::format("of place {}, seed {}", i, seed);
      expect(floats[i] == static_cast<float>(triangle * (place % 97)), "float sum " + where);
      expect(doubles[i] == 1e6 * static_cast<double>(triangle * place), "double sum " + where);
      expect(sums[i] == (std::int64_t{1} << 40) * triangle + place * world_size_, "integer sum " + where);
      expect(largest[i] == max, "maximum " + where);
    }
    auto of_rank_0 = random_floats;
    ranks_.broadcast({"check", 6}, 0, std::as_writable_bytes(std::span(of_rank_0)));
    expect(of_rank_0 == random_floats, fmt::format("a float sum has the same bits on every rank, seed {}", seed));
  }

  /// Uneven parts, some empty. Sums of small integers are exact in every order.
  void check_reduce_scatter(std::uint64_t seed) {
    std::vector<std::int64_t> counts;
    for (int rank = 0; rank < world_size_; ++rank) counts.push_back(payload_bytes(seed, rank, 997) % 40);
    const auto offsets = byte_offsets(counts, 1);
    std::vector<float> values(static_cast<std::size_t>(offsets.back()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((self_ + 1) * (i % 89));
    const auto before = values;
    std::vector<float> out(static_cast<std::size_t>(counts[static_cast<std::size_t>(self_)]), -1.0F);
    ranks_.reduce_scatter_sum({"check parts", static_cast<std::int64_t>(seed)}, values, offsets, out);
    const auto triangle = static_cast<std::size_t>(world_size_ * (world_size_ + 1) / 2);
    const auto first = static_cast<std::size_t>(offsets[static_cast<std::size_t>(self_)]);
    for (std::size_t i = 0; i < out.size(); ++i)
      expect(out[i] == static_cast<float>(triangle * ((first + i) % 89)),
             fmt::format("reduce_scatter of place {}, seed {}", first + i, seed));
    expect(values == before, fmt::format("reduce_scatter leaves its input, seed {}", seed));
  }

  void check_exchange(std::uint64_t seed) {
    for (int shift = 0; shift < world_size_; ++shift) {
      const int to = (self_ + shift) % world_size_, from = (self_ + world_size_ - shift) % world_size_;
      ChunkBuffer send({payload_bytes(seed, self_, to)}), recv({payload_bytes(seed, from, self_)});
      fill_payload(send.bytes, seed, self_, to);
      ranks_.exchange({"check", shift}, to, send.bytes, from, recv.bytes);
      expect(is_payload(recv.bytes, seed, from, self_), fmt::format("exchange over {} ranks, seed {}", shift, seed));
    }
  }

  /// One rank comes late each time; no other may leave before it has come.
  void check_barrier() {
    using Clock = std::chrono::system_clock;  // the same in all processes of a machine
    for (int late = 0; late < world_size_; ++late) {
      ranks_.barrier({"check", late});
      std::int64_t came = 0;
      if (self_ == late) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        came = Clock::now().time_since_epoch().count();
      }
      ranks_.barrier({"check late", late});
      const auto left = Clock::now().time_since_epoch().count();
      ranks_.all_reduce_max({"check times", late}, {&came, 1});
      expect(left >= came, fmt::format("no rank leaves a barrier before rank {} has come", late));
    }
  }

  Communicator& ranks_;
  const int self_, world_size_;
  std::vector<std::string> broken_;
};

}  // namespace swallowtail
