// The idea: blockIdx.y is a block of the message, threads stride over its words of 4 bytes (two halves, four int8 where
// the columns allow), so that warps write whole sectors. An int8 vector is a warp's, which finds its scale by shuffles.
#pragma once

#include "kernels/cuda/half.cuh"
#include "kernels/cuda/wire.h"

namespace swallowtail::cuda {

constexpr unsigned kWireInfinity = 0x7f800000U;

/// What a block of these columns really travels as, as on the host.
__device__ inline Wire effective_wire(Wire wire, std::int64_t cols) {
  return wire == Wire::int8 && cols <= 4 ? Wire::bf16 : wire;
}
__device__ inline unsigned magnitude_of(float value) { return __float_as_uint(value) & 0x7fffffffU; }
__device__ inline float& value_of(const WireBlock& block, std::int64_t i) {
  return block.values[i / block.cols * block.stride + i % block.cols];
}

/// The power of two that brings the largest magnitude into [2^14, 2^15).
__device__ inline float fp16_scale_of(unsigned largest) {
  if (largest == 0 || largest >= kWireInfinity) return 1;
  const int biased = static_cast<int>(largest >> 23);
  const int exponent = biased > 0 ? biased - 126 : -117 - __clz(static_cast<int>(largest));  // as frexp's
  int scale = 15 - exponent;
  scale = scale < -126 ? -126 : scale > 127 ? 127 : scale;
  return __uint_as_float(static_cast<unsigned>(scale + 127) << 23);
}

/// maxima[block] = the largest magnitude of its values' bits. maxima zeroed before.
struct LargestOfBlocks {
  const WireBlock* blocks;
  unsigned* maxima;
  __device__ void operator()(SharedMemory) const {
    const WireBlock& block = blocks[blockIdx.y];
    unsigned largest = 0;
    for (std::int64_t i = first_item(); i < block.vectors * block.cols; i += item_stride()) {
      const unsigned magnitude = magnitude_of(value_of(block, i));
      largest = largest > magnitude ? largest : magnitude;
    }
    for (int half = 16; half > 0; half /= 2) {
      const unsigned other = __shfl_xor_sync(0xffffffffU, largest, half);
      largest = largest > other ? largest : other;
    }
    if (threadIdx.x % 32 == 0 && largest > 0) atomicMax(maxima + blockIdx.y, largest);
  }
};

/// int8: `lanes` columns of four where cols % 4 == 0, else bytes. One warp a vector.
struct Int8Vectors {
  static constexpr float kWhole = 12582912.0F;  // 1.5 * 2^23: adding and taking it away rounds to whole numbers

  __device__ static void encode(const WireBlock& block) {
    const int lane = static_cast<int>(threadIdx.x) % 32, cols = static_cast<int>(block.cols);
    for (std::int64_t v = first_item() / 32; v < block.vectors; v += item_stride() / 32) {
      const float* const values = block.values + v * block.stride;
      unsigned char* const bytes = block.bytes + v * (4 + cols);
      unsigned largest = 0;
      for (int d = lane; d < cols; d += 32) {
        const unsigned magnitude = magnitude_of(values[d]);
        largest = largest > magnitude ? largest : magnitude;
      }
      for (int half = 16; half > 0; half /= 2) {
        const unsigned other = __shfl_xor_sync(0xffffffffU, largest, half);
        largest = largest > other ? largest : other;
      }
      const float scale = largest < kWireInfinity ? __uint_as_float(largest) / 127 : __uint_as_float(0x7fc00000U);
      if (lane < 4) bytes[lane] = static_cast<unsigned char>(__float_as_uint(scale) >> (8 * lane));
      if (cols % 4 == 0) {
        for (int d = 4 * lane; d < cols; d += 128) {
          unsigned four = 0;
          for (int k = 0; k < 4; ++k) four |= level_of(values[d + k], scale) << (8 * k);
          *reinterpret_cast<unsigned*>(bytes + 4 + d) = four;
        }
      } else {
        for (int d = lane; d < cols; d += 32) bytes[4 + d] = static_cast<unsigned char>(level_of(values[d], scale));
      }
    }
    const std::int64_t end = block.vectors * (4 + cols), padded = (end + 3) / 4 * 4;
    if (blockIdx.x == 0)
      for (std::int64_t at = end + threadIdx.x; at < padded; at += blockDim.x) block.bytes[at] = 0;
  }

  __device__ static void decode(const WireBlock& block) {
    const int lane = static_cast<int>(threadIdx.x) % 32, cols = static_cast<int>(block.cols);
    for (std::int64_t v = first_item() / 32; v < block.vectors; v += item_stride() / 32) {
      const unsigned char* const bytes = block.bytes + v * (4 + cols);
      unsigned bits = 0;
      for (int k = 0; k < 4; ++k) bits |= static_cast<unsigned>(bytes[k]) << (8 * k);
      const float scale = __uint_as_float(bits);
      for (int d = lane; d < cols; d += 32)
        block.values[v * block.stride + d] = scale * static_cast<float>(static_cast<signed char>(bytes[4 + d]));
    }
  }

 private:
  __device__ static unsigned level_of(float value, float scale) {
    if (!(scale > 0)) return 0;
    float level = value / scale;  // a scale of a few last places can make it leave the range
    level = level < -127.0F ? -127.0F : level;
    level = level > 127.0F ? 127.0F : level;
    return static_cast<unsigned>(static_cast<int>((level + kWhole) - kWhole)) & 0xffU;
  }
};

struct EncodeWire {
  const WireBlock* blocks;
  const unsigned* maxima;  // fp16 only
  Wire wire;

  __device__ void operator()(SharedMemory) const {
    const WireBlock& block = blocks[blockIdx.y];
    const std::int64_t count = block.vectors * block.cols;
    if (count == 0) return;
    const Wire as = effective_wire(wire, block.cols);
    if (as == Wire::int8) return Int8Vectors::encode(block);
    if (as == Wire::fp32) {
      auto* const words = reinterpret_cast<float*>(block.bytes);
      for (std::int64_t i = first_item(); i < count; i += item_stride()) words[i] = value_of(block, i);
      return;
    }
    const bool is_fp16 = as == Wire::fp16;
    const float scale = is_fp16 ? fp16_scale_of(maxima[blockIdx.y]) : 1.0F;
    auto* words = reinterpret_cast<unsigned*>(block.bytes);
    if (is_fp16) {
      if (first_item() == 0) *words = __float_as_uint(scale);
      ++words;
    }
    for (std::int64_t word = first_item(); 2 * word < count; word += item_stride()) {
      const unsigned low = half_of(value_of(block, 2 * word), scale, is_fp16);
      const unsigned high = 2 * word + 1 < count ? half_of(value_of(block, 2 * word + 1), scale, is_fp16) : 0;
      words[word] = low | high << 16;
    }
  }

 private:
  __device__ static unsigned half_of(float value, float scale, bool is_fp16) {
    return (is_fp16 ? to_fp16(value * scale) : to_bf16(value)) & 0xffffU;
  }
};

struct DecodeWire {
  const WireBlock* blocks;
  Wire wire;

  __device__ void operator()(SharedMemory) const {
    const WireBlock& block = blocks[blockIdx.y];
    const std::int64_t count = block.vectors * block.cols;
    if (count == 0) return;
    const Wire as = effective_wire(wire, block.cols);
    if (as == Wire::int8) return Int8Vectors::decode(block);
    if (as == Wire::fp32) {
      const auto* const words = reinterpret_cast<const float*>(block.bytes);
      for (std::int64_t i = first_item(); i < count; i += item_stride()) value_of(block, i) = words[i];
      return;
    }
    const bool is_fp16 = as == Wire::fp16;
    const auto* words = reinterpret_cast<const unsigned*>(block.bytes);
    const float scale = is_fp16 ? __uint_as_float(*words++) : 1.0F;
    for (std::int64_t word = first_item(); 2 * word < count; word += item_stride()) {
      const unsigned bits = words[word];
      for (int k = 0; k < 2 && 2 * word + k < count; ++k) {
        const unsigned half = bits >> (16 * k) & 0xffffU;
        value_of(block, 2 * word + k) = is_fp16 ? from_fp16(half) / scale : from_bf16(half);
      }
    }
  }
};

}  // namespace swallowtail::cuda
