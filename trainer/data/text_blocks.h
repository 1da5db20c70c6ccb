// The text of a file in blocks of whole rows, so that several threads may parse them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "trainer/data/byte_source.h"
#include "trainer/data/source.h"

namespace swallowtail {

/// With what is made of it a block stays in the second-level cache.
constexpr std::size_t kBlockBytes = std::size_t{1} << 18;

/// A block and the memory that it lies in, which is used again.
struct OwnedBlock {
  std::vector<char> memory;
  TextBlock block;
};

class TextBlocks {
 public:
  /// Errors: as open_bytes. `format` outlives it. Smaller blocks are for tests.
  TextBlocks(const std::filesystem::path& file, const RowFormat& format, std::size_t block_bytes = kBlockBytes);
  /// False at the end. Blocks are about block_bytes long, longer where a row is. Errors: as ByteSource::read.
  bool next(OwnedBlock& out);

 private:
  void skip(std::int64_t bytes);
  bool fill(std::vector<char>& memory, std::size_t& size, std::size_t want);
  bool cut(OwnedBlock& out, std::size_t size);

  const RowFormat& format_;
  std::unique_ptr<ByteSource> bytes_;
  std::size_t block_bytes_;
  std::vector<char> rest_;  // read, and not in a block yet
  std::int64_t lines_;
  bool is_at_end_ = false;
};

}  // namespace swallowtail
