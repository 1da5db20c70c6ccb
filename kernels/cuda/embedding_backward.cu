#include <algorithm>
#include <bit>

#include "kernels/cuda/embedding_backward.cuh"
#include "kernels/cuda/sort.h"

namespace swallowtail::cuda {

namespace {

template <int kQuads>
void update(const UpdateRows<1>& like, std::int64_t groups, Stream& stream) {
  const std::int64_t blocks = divide_up(groups * like.lanes, kBlockThreads);
  launch<kBlockThreads>({std::min(blocks, kMaxBlocks), 1}, 0, stream,
                        UpdateRows<kQuads>{like.sorted, like.starts, like.count, like.first_chunk, like.partial_sums,
                                           like.stride, like.step_rates, like.table_rates, like.shares,
                                           like.mean_squares, like.squares, like.bad_row, like.lanes});
}

}  // namespace

void group_by_row(const DeviceTables& tables, const DeviceBags& bags, BackwardScratch& scratch, Stream& stream) {
  const std::int64_t ids = bags.ids;
  if (ids >= std::int64_t{1} << 32) throw Failure("a device takes fewer than 2^32 ids a step; make the batch smaller");
  if (ids == 0) return;
  scratch.keys.reserve(ids);
  scratch.sorted_keys.reserve(ids);
  scratch.items.reserve(ids);
  scratch.sorted_items.reserve(ids);
  scratch.bags.reserve(ids);
  scratch.scales.reserve(ids);
  scratch.segment_of.reserve(ids);
  scratch.starts.reserve(ids + 1);
  scratch.segment_count.reserve(1);

  launch<kBlockThreads>(grid_for(ids), 0, stream,
                        LinearizeIds{tables.on_device(), tables.count(), bags, scratch.keys.data(),
                                     scratch.items.data(), scratch.bags.data(), scratch.scales.data()});
  const int bits = std::max(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(tables.total_rows() - 1))));
  sort_pairs(scratch.keys.data(), scratch.sorted_keys.data(), scratch.items.data(), scratch.sorted_items.data(), ids,
             bits, scratch.library, stream);
  launch<kBlockThreads>(grid_for(ids), 0, stream,
                        MarkSegments{scratch.sorted_keys.data(), scratch.segment_of.data(), ids});
  inclusive_sum(scratch.segment_of.data(), scratch.segment_of.data(), ids, scratch.library, stream);
  launch<kBlockThreads>(
      grid_for(ids), 0, stream,
      PlaceSegments{scratch.segment_of.data(), scratch.starts.data(), scratch.segment_count.data(), ids});
}

namespace {

/// What both walks over the grouped rows are given.
struct Walk {
  const DeviceTables& tables;
  const DeviceBags& bags;
  const BagGradients& gradients;
  const RowUpdate& how;
};

/// Updates the rows, or, where `squares` is not null, only leaves their squares there.
void walk_rows(const Walk& walk, BackwardScratch& scratch, float* squares, unsigned long long* bad_row,
               Stream& stream) {
  const auto& [tables, bags, gradients, how] = walk;
  const std::int64_t ids = bags.ids;
  if (ids == 0) return;
  const SortedGradients sorted{tables.on_device(),
                               tables.count(),
                               scratch.sorted_keys.data(),
                               scratch.sorted_items.data(),
                               scratch.bags.data(),
                               scratch.scales.data(),
                               gradients.values,
                               gradients.rows,
                               bags.batch,
                               gradients.width};
  const auto quads = static_cast<int>(divide_up(tables.max_dim(), 4));
  const int lanes = lanes_for(quads);
  const std::int64_t stride = 4 * static_cast<std::int64_t>(quads), piece = how.long_segment;
  const bool splits = piece > 0 && ids > piece;
  if (splits) {
    // A long segment of n > piece ids has at most 2n / piece pieces.
    const std::int64_t most_chunks = 2 * ids / piece;
    scratch.first_chunk.reserve(ids + 1);
    scratch.partial_sums.reserve(most_chunks * stride);
    launch<kBlockThreads>(
        grid_for(ids), 0, stream,
        CountChunks{scratch.starts.data(), scratch.segment_count.data(), scratch.first_chunk.data(), ids, piece});
    inclusive_sum(scratch.first_chunk.data(), scratch.first_chunk.data(), ids + 1, scratch.library, stream);
    launch<kBlockThreads>({std::min(divide_up(most_chunks * lanes, kBlockThreads), kMaxBlocks), 1}, 0, stream,
                          SumChunks{sorted, scratch.starts.data(), scratch.segment_count.data(),
                                    scratch.first_chunk.data(), scratch.partial_sums.data(), piece, stride, lanes});
  }
  if (gradients.decay) {
    scratch.shares.reserve(ids);
    launch<kBlockThreads>(grid_for(ids), 0, stream,
                          DecayShares{sorted, scratch.starts.data(), scratch.segment_count.data(), gradients.decay,
                                      scratch.shares.data()});
  }
  const UpdateRows<1> rows{sorted,
                           scratch.starts.data(),
                           scratch.segment_count.data(),
                           splits ? scratch.first_chunk.data() : nullptr,
                           splits ? scratch.partial_sums.data() : nullptr,
                           stride,
                           Rates(how.step),
                           how.table_rates,
                           gradients.decay ? scratch.shares.data() : nullptr,
                           how.mean_squares,
                           squares,
                           bad_row,
                           lanes};
  const int quads_a_lane = static_cast<int>(divide_up(quads, lanes));
  const std::int64_t groups = std::min(ids, tables.total_rows());
  if (quads_a_lane <= 1) return update<1>(rows, groups, stream);
  if (quads_a_lane <= 2) return update<2>(rows, groups, stream);
  update<8>(rows, groups, stream);
}

}  // namespace

void row_squares(const DeviceTables& tables, const DeviceBags& bags, const BagGradients& gradients,
                 const RowUpdate& how, BackwardScratch& scratch, float* squares, Stream& stream) {
  walk_rows({tables, bags, gradients, how}, scratch, squares, nullptr, stream);
}

void update_grouped_rows(const DeviceTables& tables, const DeviceBags& bags, const BagGradients& gradients,
                         const RowUpdate& how, BackwardScratch& scratch, unsigned long long* bad_row, Stream& stream) {
  for (const DeviceTable& table : tables.on_host())
    if (table.format == RowFormat::int8) throw Failure("int8 rows are read only; train rows of fp32, bf16 or fp16");
  detail::fill(bad_row, 0xff, sizeof *bad_row, stream);  // kNoBadRow
  walk_rows({tables, bags, gradients, how}, scratch, nullptr, bad_row, stream);
}

void pooled_lookup_backward(const DeviceTables& tables, const DeviceBags& bags, const float* gradient,
                            const RowUpdate& how, BackwardScratch& scratch, unsigned long long* bad_row,
                            Stream& stream) {
  group_by_row(tables, bags, scratch, stream);
  update_grouped_rows(tables, bags, {.values = gradient, .width = tables.width()}, how, scratch, bad_row, stream);
}

}  // namespace swallowtail::cuda
