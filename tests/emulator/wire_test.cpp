#include "kernels/cuda/wire.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/emulator/shapes.h"

namespace swallowtail::cuda {
namespace {

using testing::below;

struct Block {
  std::int64_t vectors, cols, column;  // column: where its columns stand in the matrix
  std::vector<float> values;           // [vectors, cols]
};

/// Blocks side by side in one matrix, as the tables of a pooled batch.
struct Message {
  std::vector<Block> blocks;
  std::int64_t rows = 0, width = 0;
  std::vector<float> matrix;
};

Message make_message(std::uint64_t seed) {
  Message made;
  const std::int64_t count = below(seed, 1, 5);
  for (std::int64_t b = 0; b < count; ++b) {
    const std::uint64_t key = random::bits(seed, 2, static_cast<std::uint64_t>(b));
    Block block{
        below(key, 1, 4) == 0 ? 0 : below(key, 2, 30), 1 + below(key, 3, below(key, 4, 2) ? 8 : 140), made.width, {}};
    block.values = testing::values(key, 5, block.vectors * block.cols);
    // Sizes from the least denormal to the greatest numbers, and now and then no number at all.
    const float factor = std::ldexp(1.0F, static_cast<int>(below(key, 6, 270)) - 145);
    for (float& value : block.values) value *= factor;
    if (!block.values.empty() && below(key, 7, 5) == 0)
      block.values[static_cast<std::size_t>(below(key, 8, std::ssize(block.values)))] =
          below(key, 9, 2) ? std::numeric_limits<float>::infinity() : 0.0F;
    if (below(key, 10, 6) == 0) std::ranges::fill(block.values, -0.0F);
    made.rows = std::max(made.rows, block.vectors);
    made.width += block.cols + below(key, 11, 3);
    made.blocks.push_back(std::move(block));
  }
  made.matrix.assign(static_cast<std::size_t>(made.rows * made.width), 77.0F);
  for (const Block& block : made.blocks)
    for (std::int64_t v = 0; v < block.vectors; ++v)
      std::copy_n(block.values.begin() + v * block.cols, block.cols,
                  made.matrix.begin() + v * made.width + block.column);
  return made;
}

bool is_same(float a, float b) { return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0; }

TEST(Wire, HasTheBytesOfTheHostBothWays) {
  testing::for_seeds("wire equals the host's", [](std::uint64_t seed) {
    const Message message = make_message(seed);
    for (const Wire wire : {Wire::fp32, Wire::bf16, Wire::fp16, Wire::int8}) {
      Stream stream;
      const auto matrix = testing::on_device(message.matrix, stream);
      std::vector<DeviceBuffer<unsigned char>> bytes;
      std::vector<WireBlock> described;
      for (const Block& block : message.blocks) {
        bytes.emplace_back(wire_bytes(wire, block.vectors, block.cols));
        described.push_back(
            {matrix.data() + block.column, message.width, block.vectors, block.cols, bytes.back().data()});
      }
      WireBlocks blocks(described, stream);
      encode(wire, blocks, stream);
      std::vector<float> wanted_matrix = message.matrix;
      for (std::size_t b = 0; b < message.blocks.size(); ++b) {
        const Block& block = message.blocks[b];
        std::vector<std::byte> wanted(static_cast<std::size_t>(bytes[b].size()));
        swallowtail::encode(wire, block.values.data(), block.vectors, block.cols, wanted.data());
        const auto got = testing::on_host(bytes[b], stream);
        if (std::ranges::none_of(block.values, [](float value) { return std::isinf(value); })) {
          EXPECT_EQ(std::memcmp(wanted.data(), got.data(), got.size()), 0)
              << "seed " << seed << ", wire " << name_of(wire) << ", block " << b << ", cols " << block.cols;
        }
        std::vector<float> back(block.values.size());
        swallowtail::decode(wire, wanted.data(), block.vectors, block.cols, back.data());
        for (std::int64_t v = 0; v < block.vectors; ++v)
          std::copy_n(back.begin() + v * block.cols, block.cols,
                      wanted_matrix.begin() + v * message.width + block.column);
      }
      decode(wire, blocks, stream);
      const auto got_matrix = testing::on_host(matrix, stream);
      for (std::size_t i = 0; i < got_matrix.size(); ++i)
        EXPECT_TRUE(is_same(wanted_matrix[i], got_matrix[i]))
            << "seed " << seed << ", wire " << name_of(wire) << ", " << wanted_matrix[i] << ", " << got_matrix[i];
    }
  });
}

}  // namespace
}  // namespace swallowtail::cuda
