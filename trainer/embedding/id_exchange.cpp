#include "trainer/embedding/id_exchange.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "kernels/random.h"

namespace swallowtail {

namespace {

constexpr std::int64_t kBatchesAChoice = 64;                 // a stream's distinct rows are counted anew so often
constexpr std::int64_t kNarrowRows = std::int64_t{1} << 32;  // fewer rows travel as 32 bits

std::int64_t id_bytes(const IdStream& stream) { return stream.rows <= kNarrowRows ? 4 : 8; }

template <typename T>
void put(std::vector<std::byte>& to, T value) {
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

template <typename T>
T take(const std::byte*& from) {
  T value;
  std::memcpy(&value, from, sizeof value);  // the payload is not aligned
  from += sizeof value;
  return value;
}

/// Numbers the distinct rows of a sequence in the order of their first coming.
class RowNumbers {
 public:
  explicit RowNumbers(std::size_t rows)
      : mask_(std::bit_ceil(std::max<std::size_t>(16, 2 * rows)) - 1), keys_(mask_ + 1, -1), numbers_(mask_ + 1) {}

  std::int64_t number(std::int64_t row) {
    for (std::size_t at = random::mix(static_cast<std::uint64_t>(row)) & mask_;; at = (at + 1) & mask_) {
      if (keys_[at] == row) return numbers_[at];
      if (keys_[at] >= 0) continue;
      keys_[at] = row;
      return numbers_[at] = count_++;
    }
  }
  std::int64_t count() const noexcept { return count_; }

 private:
  std::size_t mask_;
  std::vector<std::int64_t> keys_, numbers_;
  std::int64_t count_ = 0;
};

}  // namespace

/// What a rank says of a stream before its ids.
struct IdExchange::Counts {
  std::int64_t bags = 0, ids = 0;
  std::int32_t length = 0;       // of every bag, or -1: the lengths are sent
  std::uint8_t is_distinct = 0;  // then every bag is one id
  std::uint8_t has_weights = 0;
  std::uint8_t has_sizes = 0;  // bags were cut: their whole sizes are sent
  std::uint8_t unused = 0;

  std::int64_t bytes(const IdStream& stream) const {
    return (length < 0 ? 4 * bags : 0) + (has_sizes ? 4 * bags : 0) + ids * id_bytes(stream) +
           (has_weights ? 4 * ids : 0);
  }
};

JaggedView OwnedStream::of_source(int rank) const {
  const auto begin = static_cast<std::size_t>(first_bag[static_cast<std::size_t>(rank)]),
             end = static_cast<std::size_t>(first_bag[static_cast<std::size_t>(rank) + 1]);
  return {held().values, std::span(held().offsets).subspan(begin, end - begin + 1), held().weights};
}

IdExchange::IdExchange(std::span<const EmbeddingTable> tables, const ShardLayout& layout, DistinctStreams& choices,
                       IdExchangeOptions options)
    : layout_(&layout), choices_(&choices), options_(options) {
  const std::size_t world_size = layout.streams.size();
  bag_cols_.resize(world_size);
  id_cols_.resize(world_size);
  mean_ids_.resize(world_size);
  sent_.resize(world_size);
  choices_->chosen.resize(world_size);
  for (std::size_t owner = 0; owner < world_size; ++owner) {
    const std::size_t streams = layout.streams[owner].size();
    bag_cols_[owner].assign(streams, 0);
    id_cols_[owner].assign(streams, 0);
    mean_ids_[owner].assign(streams, 0);
    sent_[owner].resize(streams);
    choices_->chosen[owner].assign(streams, false);
    for (const HeldShard& held : layout.shards[owner]) {
      const EmbeddingTable& table = tables[held.table];
      mean_ids_[owner][held.stream] = table.mean_ids * static_cast<double>(held.shard.rows) /
                                      static_cast<double>(std::max<std::int64_t>(table.rows, 1));
      (tables[held.table].pooling == Pooling::none ? id_cols_ : bag_cols_)[owner][held.stream] += held.shard.cols;
    }
  }
}

void IdExchange::deal_out(int self) {
  const Batch& batch = *batch_;
  for (std::size_t owner = 0; owner < sent_.size(); ++owner)
    for (std::size_t s = 0; s < sent_[owner].size(); ++s) {
      const IdStream& stream = layout_->streams[owner][s];
      SentStream& sent = sent_[owner][s];
      sent.is_distinct = false;
      sent.bag_of.clear();
      sent.places.clear();
      sent.slots.clear();
      sent.bags = sent.ids = 0;
      if (stream.is_partial && options_.every_bag) {
        sent.bag_of.resize(static_cast<std::size_t>(batch.size));
        std::iota(sent.bag_of.begin(), sent.bag_of.end(), 0);
      }
      const bool rests = stream.is_copy && !for_update_ && static_cast<int>(owner) != self;
      if (stream.is_partial || (rests && !options_.every_bag)) continue;
      sent.bags = batch.size;
      sent.ids = static_cast<std::int64_t>(batch.ids[stream.feature].values.size());
    }
  for (const RowDivision& division : layout_->divisions) {
    const JaggedIds& ids = batch.ids[division.feature];
    for (std::int64_t bag = 0; bag < batch.size; ++bag)
      for (std::int64_t i = ids.offsets[bag]; i < ids.offsets[bag + 1]; ++i) {
        const std::int64_t position = division.order.position(ids.values[i]);
        const auto after = std::ranges::upper_bound(division.parts, position, {}, &RowDivision::Part::first_row);
        const RowDivision::Part& part = *std::prev(after);
        SentStream& sent = sent_[static_cast<std::size_t>(part.owner)][part.stream];
        if (!options_.every_bag && (sent.bag_of.empty() || sent.bag_of.back() != bag)) sent.bag_of.push_back(bag);
        sent.places.push_back(i);
      }
    for (const RowDivision::Part& part : division.parts) {
      SentStream& sent = sent_[static_cast<std::size_t>(part.owner)][part.stream];
      sent.bags = static_cast<std::int64_t>(sent.bag_of.size());
      sent.ids = static_cast<std::int64_t>(sent.places.size());
    }
  }
}

/// Whether each row once, with one vector each way, is fewer bytes than the ids with theirs.
bool IdExchange::pays(int owner, std::size_t stream, std::int64_t distinct, int self) const {
  const IdStream& of = layout_->streams[static_cast<std::size_t>(owner)][stream];
  const SentStream& sent = sent_[static_cast<std::size_t>(owner)][stream];
  if (owner == self && !of.is_copy) return false;
  const std::int64_t bag_cols = bag_cols_[static_cast<std::size_t>(owner)][stream],
                     id_cols = id_cols_[static_cast<std::size_t>(owner)][stream];
  const auto vectors = [&](std::int64_t count, std::int64_t cols) {
    return wire_bytes(options_.backward, count, cols) + (of.is_copy ? 0 : wire_bytes(options_.forward, count, cols));
  };
  const std::int64_t as_ids = sent.ids * id_bytes(of) + vectors(sent.bags, bag_cols) + vectors(sent.ids, id_cols);
  const std::int64_t as_rows = distinct * id_bytes(of) + vectors(distinct, bag_cols + id_cols);
  return as_rows < as_ids;
}

void IdExchange::choose_distinct(int owner, std::size_t stream, int self) {
  SentStream& sent = sent_[static_cast<std::size_t>(owner)][stream];
  const IdStream& of = layout_->streams[static_cast<std::size_t>(owner)][stream];
  auto&& chosen = choices_->chosen[static_cast<std::size_t>(owner)][stream];
  const bool counts = for_update_ && choices_->batches % kBatchesAChoice == 0;
  // Copies of a table must get the same sums on every rank, so all of them choose by the same batches.
  if (sent.ids == 0 || !(chosen || counts) || (of.is_copy && !for_update_)) return;
  const std::vector<std::int64_t>& values = batch_->ids[of.feature].values;
  std::vector<std::int64_t> places = sent.places;
  if (!of.is_partial) {
    places.resize(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) places[i] = static_cast<std::int64_t>(i);
  }
  RowNumbers numbers(places.size());
  std::vector<std::int64_t> slots;
  slots.reserve(places.size());
  for (const std::int64_t place : places) slots.push_back(numbers.number(values[place]));
  if (counts) chosen = pays(owner, stream, numbers.count(), self);
  if (!chosen) return;
  sent.is_distinct = true;
  sent.places = std::move(places);
  sent.slots = std::move(slots);
  sent.bag_of.clear();
  sent.bags = sent.ids = numbers.count();
}

void IdExchange::pack(int owner, std::vector<Counts>& counts, std::vector<std::byte>& payload) const {
  const auto& streams = layout_->streams[static_cast<std::size_t>(owner)];
  for (std::size_t s = 0; s < streams.size(); ++s) {
    const IdStream& stream = streams[s];
    const SentStream& sent = sent_[static_cast<std::size_t>(owner)][s];
    const JaggedIds& ids = batch_->ids[stream.feature];
    Counts& of = counts.emplace_back();
    of.bags = sent.bags;
    of.ids = sent.ids;
    of.is_distinct = sent.is_distinct;
    if (sent.ids == 0) continue;  // bags without ids: all of length 0
    const auto row = [&](std::int64_t value) { return stream.order.position(value) - stream.first_row; };
    const auto put_row = [&](std::int64_t value) {
      if (id_bytes(stream) == 4)
        put(payload, static_cast<std::uint32_t>(row(value)));
      else
        put(payload, row(value));
    };
    if (sent.is_distinct) {
      of.length = 1;
      std::int64_t next = 0;
      for (std::size_t i = 0; i < sent.places.size(); ++i)
        if (sent.slots[i] == next) {
          put_row(ids.values[sent.places[i]]);
          ++next;
        }
      continue;
    }
    std::vector<std::uint32_t> lengths(static_cast<std::size_t>(sent.bags), 0), sizes;
    if (stream.is_partial) {
      std::size_t bag = 0;
      for (const std::int64_t place : sent.places) {
        while (place >= ids.offsets[sent.bag_of[bag] + 1]) ++bag;
        ++lengths[bag];
      }
      for (const std::int64_t sample : sent.bag_of)
        sizes.push_back(static_cast<std::uint32_t>(ids.offsets[sample + 1] - ids.offsets[sample]));
      of.has_sizes = sizes != lengths;
    } else {
      for (std::int64_t bag = 0; bag < sent.bags; ++bag)
        lengths[bag] = static_cast<std::uint32_t>(ids.offsets[bag + 1] - ids.offsets[bag]);
    }
    const bool is_even = std::ranges::all_of(lengths, [&](std::uint32_t length) { return length == lengths[0]; });
    of.length = is_even ? static_cast<std::int32_t>(lengths[0]) : -1;
    of.has_weights = !ids.weights.empty();
    if (!is_even)
      for (const std::uint32_t length : lengths) put(payload, length);
    if (of.has_sizes)
      for (const std::uint32_t size : sizes) put(payload, size);
    if (stream.is_partial) {
      for (const std::int64_t place : sent.places) put_row(ids.values[place]);
      if (of.has_weights)
        for (const std::int64_t place : sent.places) put(payload, ids.weights[place]);
    } else {
      for (const std::int64_t value : ids.values) put_row(value);
      for (const float weight : ids.weights) put(payload, weight);
    }
  }
}

void IdExchange::unpack(int self) {
  const auto& streams = layout_->streams[static_cast<std::size_t>(self)];
  const std::size_t sources = batch_sizes_.size();
  owned_.resize(streams.size());
  for (std::size_t s = 0; s < streams.size(); ++s) {
    OwnedStream& owned = owned_[s];
    owned.whole = nullptr;
    owned.ids.values.clear();
    owned.ids.weights.clear();
    owned.ids.offsets.assign(1, 0);
    owned.bag_sizes.clear();
    owned.first_bag.assign(1, 0);
    owned.first_id.assign(1, 0);
    owned.is_distinct.assign(sources, false);
  }
  for (std::size_t source = 0; source < sources; ++source) {
    const std::byte* from = payload_.recv.data() + payload_.recv_offsets[source];
    for (std::size_t s = 0; s < streams.size(); ++s) {
      Counts of;
      std::memcpy(&of, counts_.recv.data() + (source * streams.size() + s) * sizeof(Counts), sizeof of);
      OwnedStream& owned = owned_[s];
      JaggedIds& ids = owned.ids;
      owned.is_distinct[source] = of.is_distinct != 0;
      for (std::int64_t bag = 0; bag < of.bags; ++bag)
        ids.offsets.push_back(ids.offsets.back() +
                              (of.length < 0 ? static_cast<std::int64_t>(take<std::uint32_t>(from)) : of.length));
      if (streams[s].is_partial)
        for (std::int64_t bag = 0; bag < of.bags; ++bag) {
          const std::size_t at = ids.offsets.size() - 1 - static_cast<std::size_t>(of.bags - bag);
          owned.bag_sizes.push_back(of.has_sizes ? static_cast<std::int64_t>(take<std::uint32_t>(from))
                                                 : ids.offsets[at + 1] - ids.offsets[at]);
        }
      for (std::int64_t i = 0; i < of.ids; ++i)
        ids.values.push_back(id_bytes(streams[s]) == 4 ? static_cast<std::int64_t>(take<std::uint32_t>(from))
                                                       : take<std::int64_t>(from));
      // Weights, once a source has them, are there for all: 1 where a source has none.
      if (of.has_weights || !ids.weights.empty()) {
        ids.weights.resize(ids.values.size() - static_cast<std::size_t>(of.ids), 1.0F);
        for (std::int64_t i = 0; i < of.ids; ++i) ids.weights.push_back(of.has_weights ? take<float>(from) : 1.0F);
      }
      owned.first_bag.push_back(static_cast<std::int64_t>(ids.offsets.size()) - 1);
      owned.first_id.push_back(static_cast<std::int64_t>(ids.values.size()));
    }
  }
}

/// One rank that holds all rows where they stand: the batch is what would arrive.
bool IdExchange::is_alone(const Exchange& exchange) const {
  return exchange.world_size() == 1 && std::ranges::all_of(layout_->streams[0], [](const IdStream& stream) {
           return !stream.is_partial && stream.order.is_identity();
         });
}

void IdExchange::take_whole(const Batch& batch) {
  const auto& streams = layout_->streams[0];
  owned_.resize(streams.size());
  for (std::size_t s = 0; s < streams.size(); ++s) {
    OwnedStream& owned = owned_[s];
    owned.whole = &batch.ids[streams[s].feature];
    owned.bag_sizes.clear();
    owned.first_bag.assign({0, batch.size});
    owned.first_id.assign({0, std::ssize(owned.whole->values)});
    owned.is_distinct.assign(1, false);
  }
}

void IdExchange::start(const Batch& batch, std::span<const std::int64_t> batch_sizes, std::int64_t step,
                       bool for_update, Exchange& exchange) {
  const int self = exchange.rank(), world_size = exchange.world_size();
  step_ = step;
  batch_ = &batch;
  for_update_ = for_update;
  batch_sizes_.assign(batch_sizes.begin(), batch_sizes.end());
  deal_out(self);
  if (is_alone(exchange)) {
    waits_alone_ = true;
    return;
  }
  if (options_.deduplicate)
    for (int owner = 0; owner < world_size; ++owner)
      for (std::size_t s = 0; s < sent_[static_cast<std::size_t>(owner)].size(); ++s) choose_distinct(owner, s, self);
  if (for_update) ++choices_->batches;

  std::vector<Counts> counts;
  counts_.clear(world_size);
  payload_.clear(world_size);
  payload_.send.clear();
  for (int owner = 0; owner < world_size; ++owner) {
    const std::size_t counts_before = counts.size(), payload_before = payload_.send.size();
    pack(owner, counts, payload_.send);
    counts_.send_bytes[owner] = static_cast<std::int64_t>((counts.size() - counts_before) * sizeof(Counts));
    payload_.send_bytes[owner] = static_cast<std::int64_t>(payload_.send.size() - payload_before);
    counts_.recv_bytes[owner] =
        static_cast<std::int64_t>(layout_->streams[static_cast<std::size_t>(self)].size() * sizeof(Counts));
  }
  std::size_t streams = 0;
  double ids = 0;  // of a sample, over all streams
  for (std::size_t owner = 0; owner < layout_->streams.size(); ++owner)
    for (std::size_t s = 0; s < layout_->streams[owner].size(); ++s, ++streams) ids += mean_ids_[owner][s];
  const double peers = static_cast<double>(world_size) * world_size;
  const auto samples = static_cast<double>(std::reduce(batch_sizes_.begin(), batch_sizes_.end()));
  counts_.expected_a_peer = static_cast<std::int64_t>(streams * sizeof(Counts)) / world_size;
  payload_.expected_a_peer = static_cast<std::int64_t>(samples * ids * sizeof(std::uint32_t) / peers);
  counts_.reserve();
  std::ranges::copy(std::as_bytes(std::span(counts)), counts_.send.begin());
  sends_ids_ = false;
  pending_ = exchange.start("input counts", step_, counts_);
}

void IdExchange::send_ids(Exchange& exchange) {
  if (sends_ids_ || waits_alone_) return;
  exchange.wait(*pending_);
  const auto& streams = layout_->streams[static_cast<std::size_t>(exchange.rank())];
  const std::byte* from = counts_.recv.data();
  for (std::int64_t& bytes : payload_.recv_bytes)
    for (const IdStream& stream : streams) bytes += take<Counts>(from).bytes(stream);
  payload_.reserve();
  sends_ids_ = true;
  pending_ = exchange.start("input ids", step_, payload_);
}

void IdExchange::progress() {
  if (pending_) pending_->test();
}

void IdExchange::finish(const Batch& batch, Exchange& exchange) {
  batch_ = &batch;
  if (waits_alone_) {
    waits_alone_ = false;
    return take_whole(batch);
  }
  send_ids(exchange);
  exchange.wait(*pending_);
  pending_.reset();
  unpack(exchange.rank());
}

}  // namespace swallowtail
