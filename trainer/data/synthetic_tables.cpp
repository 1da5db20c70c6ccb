#include "trainer/data/synthetic_tables.h"

#include <algorithm>
#include <array>

namespace swallowtail {

namespace {

constexpr std::array<std::int64_t, 26> kKaggleRows{1460,  583,  10131227, 2202608, 305, 24,     12517,   633,   3,
                                                   93145, 5683, 8351593,  3194,    27,  14992,  5461306, 10,    5652,
                                                   2173,  4,    7046547,  18,      15,  286181, 105,     142572};
constexpr std::array<std::int64_t, 26> kCriteo1tbRows{
    40000000, 39060, 17295, 7424, 20265, 3,  7122,     1543,     63,       40000000, 3067956, 405282, 10,
    2209,     11938, 155,   4,    976,   14, 40000000, 40000000, 40000000, 590152,   12973,   108,    36};
constexpr std::array<std::int64_t, 26> kMultiHot{3, 2, 1, 2, 6, 1, 1,  1,   1,  7,  3, 8, 1,
                                                 6, 9, 5, 1, 1, 1, 12, 100, 27, 10, 3, 1, 1};
constexpr std::int64_t kMultiHotCap = 200000;

SyntheticShape preset(std::string_view name) {
  SyntheticShape shape;
  const auto add = [&](std::int64_t rows, std::int64_t dim, std::int64_t ids) {
    shape.tables.push_back({"t" + std::to_string(shape.tables.size()), rows, dim, static_cast<double>(ids), true, 0});
  };
  shape.dense_features = 13;
  if (name == "bench") {
    shape.dense_features = 512;
    for (int t = 0; t < 8; ++t) add(1000000, 64, 100);
    return shape;
  }
  for (std::size_t t = 0; t < kKaggleRows.size(); ++t) {
    if (name == "kaggle") add(kKaggleRows[t], 16, 1);
    if (name == "criteo_1tb") add(kCriteo1tbRows[t], 128, 1);
    if (name == "dcnv2_mlperf") add(kCriteo1tbRows[t], 128, kMultiHot[t]);
    if (name == "multihot") add(std::min(kCriteo1tbRows[t], kMultiHotCap), 128, kMultiHot[t]);
  }
  return shape;
}

}  // namespace

SyntheticShape synthetic_shape(const Section& experiment) {
  const auto sections = experiment.sections("data.tables");
  const double zipf = experiment.number("data.zipf");
  SyntheticShape shape;
  if (experiment.has("data.tables_preset")) {
    if (!sections.empty())
      throw experiment.error("data.tables_preset", "data.tables_preset and data.tables are both set",
                             "keep one of them");
    shape = preset(experiment.text("data.tables_preset"));
    for (SyntheticTable& table : shape.tables) table.zipf = zipf;
    if (experiment.is_set("data.dense_features")) shape.dense_features = experiment.integer("data.dense_features");
    return shape;
  }
  shape.dense_features = experiment.integer("data.dense_features");
  for (const Section& section : sections) {
    SyntheticTable& table = shape.tables.emplace_back();
    table.name = section.has("name") ? section.text("name") : "t" + std::to_string(shape.tables.size() - 1);
    table.rows = section.integer("rows");
    table.dim = section.has("dim") ? section.integer("dim") : 0;
    table.pooling_factor = section.number("pooling_factor");
    table.fixed = section.boolean("fixed");
    table.zipf = section.has("zipf") ? section.number("zipf") : zipf;
  }
  return shape;
}

}  // namespace swallowtail
