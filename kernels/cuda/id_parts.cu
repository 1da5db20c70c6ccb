#include "kernels/cuda/id_parts.cuh"

#include <algorithm>
#include <bit>

#include "kernels/cuda/sort.h"

namespace swallowtail::cuda {

void deal_out(const JaggedOnDevice& ids, const RowParts& parts, DealtIds& out, Stream& stream) {
  if (ids.ids >= std::int64_t{1} << 32) throw Failure("a device deals out fewer than 2^32 ids at once");
  out.starts.reserve(parts.count + 1);
  out.lengths.reserve(parts.count * ids.bags);
  zero(out.lengths.data(), parts.count * ids.bags, stream);
  if (ids.ids == 0) return zero(out.starts.data(), parts.count + 1, stream);
  out.rows.reserve(ids.ids);
  out.places.reserve(ids.ids);
  out.items.reserve(ids.ids);
  out.keys.reserve(ids.ids);
  out.sorted_keys.reserve(ids.ids);
  launch<kBlockThreads>(grid_for(ids.ids), 0, stream,
                        PartOfIds{ids, parts, out.keys.data(), out.items.data(), out.lengths.data()});
  const int bits = std::max(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(parts.count - 1))));
  sort_pairs(out.keys.data(), out.sorted_keys.data(), out.items.data(), out.places.data(), ids.ids, bits, out.library,
             stream);
  launch<kBlockThreads>(
      grid_for(ids.ids), 0, stream,
      TakeDealt{ids, parts, out.sorted_keys.data(), out.places.data(), out.rows.data(), out.starts.data()});
}

void permute_bags(const JaggedOnDevice& ids, const float* weights, const std::int64_t* order, std::int64_t count,
                  PermutedBags& out, Stream& stream) {
  out.offsets.reserve(ids.bags + 1);
  if (ids.bags == 0 || ids.ids == 0) return zero(out.offsets.data(), ids.bags + 1, stream);
  out.values.reserve(ids.ids);
  if (weights) out.weights.reserve(ids.ids);
  const std::int64_t bags_each = ids.bags / count;
  launch<kBlockThreads>(grid_for(ids.bags), 0, stream, PermuteLengths{ids, order, bags_each, out.offsets.data()});
  inclusive_sum(out.offsets.data(), out.offsets.data(), ids.bags + 1, out.library, stream);
  launch<kBlockThreads>(
      grid_for(ids.ids), 0, stream,
      PermuteValues{ids, weights, order, bags_each, out.offsets.data(), out.values.data(), out.weights.data()});
}

}  // namespace swallowtail::cuda
