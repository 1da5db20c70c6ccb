#include "trainer/ranking/likeness.h"

namespace swallowtail {

const SideColumn* likeness_column(const Experiment& experiment, const SideTable& items) {
  if (experiment.has("evaluation.diversity_by")) {
    const SideColumn* column = items.find(experiment.text("evaluation.diversity_by"));
    if (column == nullptr || column->categories.empty())
      throw experiment.error("evaluation.diversity_by", "data.items has no such column with categories",
                             "name one of its columns");
    return column;
  }
  const SideColumn* fewest = nullptr;
  for (const SideColumn& column : items.columns)
    if (column.kind == SideColumn::Kind::multi && !column.categories.empty() &&
        (fewest == nullptr || column.categories.size() < fewest->categories.size()))
      fewest = &column;
  return fewest;
}

}  // namespace swallowtail
