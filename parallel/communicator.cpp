#include "parallel/communicator.h"

namespace swallowtail {

std::vector<std::int64_t> byte_offsets(std::span<const std::int64_t> counts, std::int64_t element_bytes) {
  std::vector<std::int64_t> offsets(counts.size() + 1, 0);
  for (std::size_t i = 0; i < counts.size(); ++i) offsets[i + 1] = offsets[i] + counts[i] * element_bytes;
  return offsets;
}

}  // namespace swallowtail
