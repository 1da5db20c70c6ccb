// How often embedding rows meet: what the popularity of ids saves of memory traffic.
#pragma once

#include <cstdint>

namespace swallowtail {

/// Ids of a table, drawn independently: row k (from 1, hottest first) with a chance of about k^-zipf, continuous as in
/// the synthetic data; zipf 0 is uniform. Values are expectations; each costs some hundred exponentials.
struct IdDistribution {
  std::int64_t rows = 0;
  double zipf = 0;

  /// Different rows among `draws` ids. Rows dealt out by a hash: a part of the rows has the same part of them.
  double distinct_rows(double draws) const;
  /// Share of the ids that fall on the `rows_kept` hottest rows, [0, 1].
  double hot_share(double rows_kept) const;
};

}  // namespace swallowtail
