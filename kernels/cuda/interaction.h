// Dot interaction on the device: the meaning of kernels/interaction.h. All pointers are device memory.
//   fp32   the host's bits
//   fp16, bf16   products of 16-bit values summed in fp32 on the tensor cores (wmma), results rounded to 16 bits
#pragma once

#include <cstdint>

#include "kernels/cuda/device.h"
#include "kernels/interaction.h"

namespace swallowtail::cuda {

enum class Half : std::uint8_t { fp16, bf16 };

/// Vector i of sample b: data + b * stride, dim elements. So the columns of a table-batched lookup's output are used
/// where they lie.
struct Vectors {
  void* data = nullptr;
  std::int64_t stride = 0;
};

struct DotInteraction {
  InteractionShape shape;
  const Vectors* vectors = nullptr;  // [features], a device array
  std::int64_t features = 0;
  std::int64_t stride = 0;  // elements of a row of the output or its gradient: at least interaction_width; the rest
                            // is zeros (GEMMs want rows of a multiple of 8)
};

/// out [batch, stride] fp32.
/// Errors  Failure: a sample's vectors do not fit into the 227 KB of shared memory (features * dim <= 50,000 fit).
void dot_interaction_forward(const DotInteraction& of, float* out, Stream& stream);
/// grad_vectors [features] like vectors; overwritten.
void dot_interaction_backward(const DotInteraction& of, const float* grad_out, const Vectors* grad_vectors,
                              Stream& stream);

/// The same on 16-bit elements.
void dot_interaction_forward(Half type, const DotInteraction& of, void* out, Stream& stream);
void dot_interaction_backward(Half type, const DotInteraction& of, const void* grad_out, const Vectors* grad_vectors,
                              Stream& stream);

}  // namespace swallowtail::cuda
