// From the experiment's text files to the prepared store, on one rank: reads, splits, learns the encoding, encodes,
// writes.
//   <run_dir>/prepared/encoding.json                          the encoding
//   <run_dir>/prepared/{train,validation,test}.*              prepared_layout.h
//   <run_dir>/quarantine.tsv                                  bad_rows.h
// A bad row is recorded the first time that its file is read. Files are read twice (learn, encode), with data.split.by:
// order three times (count first); memory does not grow with the number of rows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "trainer/data/data_options.h"

namespace swallowtail {

struct Preparation {
  std::int64_t rows_read = 0, rows_quarantined = 0;
  bool has_validation = false, has_test = false;
  std::string fingerprint;  // 64 hexadecimal digits
};

/// reuse_encoding: see open_data (dataset.h). `tick` is called often while it works (about every 1,000 rows).
/// Errors: ExitCode::data for bad rows, unreadable files, parts without rows; usage for columns that do not exist, and
/// for options other than those that a reused encoding was learned under; damaged for an encoding that cannot be read;
/// resources.
Preparation prepare(
    const DataOptions& options, const std::filesystem::path& run_dir, bool reuse_encoding,
    const std::function<void()>& tick = [] {});

}  // namespace swallowtail
