// Writes the encoded samples of a synthetic experiment's test part as raw arrays, for export_test.py:
//   dump_inputs EXPERIMENT.yaml FOLDER
// dense.f32 [B, dense], <feature>.i64 [B, longest bag] filled up with -1, and shape.txt with B and the widths.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <vector>

#include "trainer/config/experiment.h"
#include "trainer/data/synthetic.h"

namespace {

template <typename Value>
void write(const std::filesystem::path& path, const std::vector<Value>& values) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(Value)));
}

}  // namespace

int main(int argc, char** argv) {
  using namespace swallowtail;
  if (argc != 3) return 2;
  const Experiment experiment = Experiment::load(argv[1], {});
  const std::filesystem::path folder = argv[2];
  const auto test = make_synthetic(experiment, static_cast<std::uint64_t>(experiment.integer("seed")), "test");
  std::vector<std::int64_t> samples(static_cast<std::size_t>(test->size()));
  std::iota(samples.begin(), samples.end(), 0);
  Batch batch;
  test->read(samples, batch);
  std::string shape = fmt::format("{} {}\n", batch.size, test->shape().dense.size());
  write(folder / "dense.f32", batch.dense);
  for (std::size_t f = 0; f < batch.ids.size(); ++f) {
    const JaggedIds& ids = batch.ids[f];
    std::int64_t longest = 1;
    for (std::int64_t b = 0; b < batch.size; ++b) longest = std::max(longest, ids.offsets[b + 1] - ids.offsets[b]);
    std::vector<std::int64_t> padded(static_cast<std::size_t>(batch.size * longest), -1);
    for (std::int64_t b = 0; b < batch.size; ++b)
      std::copy(ids.values.begin() + ids.offsets[b], ids.values.begin() + ids.offsets[b + 1],
                padded.begin() + b * longest);
    const std::string& name = test->shape().categorical[f].name;
    write(folder / (name + ".i64"), padded);
    shape += fmt::format("{} {}\n", name, longest);
  }
  std::ofstream(folder / "shape.txt") << shape;
  return 0;
}
