// What the planner knows of an embedding table.
#pragma once

#include <cstdint>
#include <string>

namespace swallowtail {

struct TableSpec {
  std::string name;
  std::int64_t rows = 0, dim = 0;
  double mean_ids = 1;  // ids a sample looks up on average (pooling factor): the load that the table puts on its rank
};

}  // namespace swallowtail
