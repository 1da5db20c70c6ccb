// A dataset: random access to encoded samples. Every rank opens the same one and reads only its own samples.
// read() may be called from any number of threads at once, each with its own Batch.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "parallel/communicator.h"
#include "trainer/config/experiment.h"
#include "trainer/data/batch.h"

namespace swallowtail {

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual const DataShape& shape() const noexcept = 0;
  virtual std::int64_t size() const noexcept = 0;  // samples
  /// Fills `out` (its buffers are reused) with `samples`, in that order.
  virtual void read(std::span<const std::int64_t> samples, Batch& out) const = 0;
  /// Where a sample came from: "train.csv:812", or "synthetic sample 812".
  virtual std::string origin(std::int64_t sample) const = 0;
  /// The true P(label = 1) where the generator knows it (planted data), else nothing.
  virtual std::optional<double> true_probability(std::int64_t /*sample*/) const { return {}; }
};

/// The splits of an experiment. validation and test may be null where the experiment has none.
struct Data {
  std::unique_ptr<Dataset> train, validation, test;
  std::int64_t rows_read = 0, rows_quarantined = 0;
  std::string
      fingerprint;  // digest of sources (sizes, content) and encoding, hex; part of a checkpoint's data position
};

/// Opens what data.* names. Collective: rank 0 reads and encodes text sources into `<run_dir>/prepared/` (learning
/// statistics and vocabularies on the training part only), the other ranks wait and map the result.
/// Bad rows go to `<run_dir>/quarantine.tsv` or fail, as data.on_bad_row says.
/// `reuse_encoding`: the statistics and vocabularies that `<run_dir>/prepared/` already holds are used instead of being
/// learned again (evaluate, --resume); its encoded parts are reused as they are where the sources have not changed.
/// Errors: ExitCode::data with file:line:column; usage for columns that do not exist.
Data open_data(const Experiment& experiment, const std::filesystem::path& run_dir, Communicator& ranks,
               bool reuse_encoding = false);

}  // namespace swallowtail
