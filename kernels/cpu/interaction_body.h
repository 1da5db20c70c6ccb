// Dot interaction over wide registers. Forward: the lanes are the partners j of a vector i, so the sample is transposed
// first and no sum crosses lanes. Backward: the lanes are the columns, one symmetric matrix of pair gradients times the
// vectors. Included after a simd_*.h, under its target.
#pragma once

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLanes = 16;

constexpr std::int64_t padded(std::int64_t size) { return (size + kLanes - 1) / kLanes * kLanes; }

/// to[d * stride + j] = rows[j][d] for eight rows (null: zeros) and columns d, d + 1, … d + 7.
void transpose_8x8(const float* const* rows, std::int64_t d, float* to, std::int64_t stride) {
  __m256 in[8], pairs[8], fours[8];
  for (int j = 0; j < 8; ++j) in[j] = rows[j] == nullptr ? _mm256_setzero_ps() : _mm256_loadu_ps(rows[j] + d);
  for (int j = 0; j < 8; j += 2) {
    pairs[j] = _mm256_unpacklo_ps(in[j], in[j + 1]);
    pairs[j + 1] = _mm256_unpackhi_ps(in[j], in[j + 1]);
  }
  for (int j = 0; j < 8; j += 4) {
    fours[j] = _mm256_shuffle_ps(pairs[j], pairs[j + 2], 0x44);
    fours[j + 1] = _mm256_shuffle_ps(pairs[j], pairs[j + 2], 0xee);
    fours[j + 2] = _mm256_shuffle_ps(pairs[j + 1], pairs[j + 3], 0x44);
    fours[j + 3] = _mm256_shuffle_ps(pairs[j + 1], pairs[j + 3], 0xee);
  }
  for (int k = 0; k < 4; ++k) {
    _mm256_storeu_ps(to + (d + k) * stride, _mm256_permute2f128_ps(fours[k], fours[k + 4], 0x20));
    _mm256_storeu_ps(to + (d + k + 4) * stride, _mm256_permute2f128_ps(fours[k], fours[k + 4], 0x31));
  }
}

/// to [dim, stride]: the sample's vectors as columns, zeros from `features` to stride.
void transpose_sample(const float* const* vectors, std::int64_t features, std::int64_t dim, float* to,
                      std::int64_t stride) {
  for (std::int64_t j = 0; j < stride; j += 8) {
    const float* rows[8];
    for (std::int64_t k = 0; k < 8; ++k) rows[k] = j + k < features ? vectors[j + k] : nullptr;
    std::int64_t d = 0;
    for (; d + 8 <= dim; d += 8) transpose_8x8(rows, d, to + j, stride);
    for (; d < dim; ++d)
      for (std::int64_t k = 0; k < 8; ++k) to[d * stride + j + k] = rows[k] == nullptr ? 0.0F : rows[k][d];
  }
}

constexpr int kTile = 4;  // rows that share a load

/// products[r, j … j + width) of kTile rows with the columns of `transposed` that begin at j.
template <typename Vector>
void product_tile(const float* const* rows, const float* transposed, std::int64_t stride, std::int64_t dim,
                  float* products) {
  Vector sum[kTile];
  for (int r = 0; r < kTile; ++r) sum[r] = Vector::all(0);
  for (std::int64_t d = 0; d < dim; ++d) {
    const Vector partners = Vector::load(transposed + d * stride);
    for (int r = 0; r < kTile; ++r) sum[r] = fma(Vector::all(rows[r][d]), partners, sum[r]);
  }
  for (int r = 0; r < kTile; ++r) sum[r].store(products + r * stride);
}

/// out[0, count) = from; may write up to the multiple of 16 where that lies below `end`.
void copy_row(const float* from, std::int64_t count, float* out, const float* end) {
  std::int64_t j = 0;
  for (; j < count && out + j + kLanes <= end; j += kLanes) F16::load(from + j).store(out + j);
  for (; j < count; ++j) out[j] = from[j];
}

template <std::int64_t kDim>
void forward(const InteractionShape& shape, std::span<const float* const> vectors, float* out) {
  const auto features = static_cast<std::int64_t>(vectors.size());
  const std::int64_t dim = kDim == 0 ? shape.dim : kDim, width = interaction_width(features, shape);
  const std::int64_t out_stride = interaction_stride(features, shape);
  const std::int64_t stride = padded(features), itself = shape.itself ? 1 : 0;
#pragma omp parallel if (shape.batch >= 128)
  {
    std::vector<float> transposed(static_cast<std::size_t>(dim * stride));
    std::vector<float> products(static_cast<std::size_t>(stride * stride));
    // The last tile reads its missing rows from the first vector and throws the products away.
    std::vector<const float*> rows(static_cast<std::size_t>(stride));
#pragma omp for schedule(static)
    for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
      for (std::int64_t i = 0; i < stride; ++i) rows[i] = vectors[i < features ? i : 0] + sample * dim;
      transpose_sample(rows.data(), features, dim, transposed.data(), stride);
      float *to = out + sample * out_stride, *const end = to + width;
      if (shape.concatenate) to = std::copy_n(rows[0], dim, to);
      for (std::int64_t i = 0; i < features; i += kTile) {
        const std::int64_t partners = std::min(i + kTile, features) - 1 + itself;
        float* tile = products.data() + i * stride;
        for (std::int64_t j = 0; j < partners; j += kLanes) {
          if (partners - j <= 8)
            product_tile<F8>(rows.data() + i, transposed.data() + j, stride, dim, tile + j);
          else
            product_tile<F16>(rows.data() + i, transposed.data() + j, stride, dim, tile + j);
        }
      }
      for (std::int64_t i = 0; i < features; to += i + itself, ++i)
        copy_row(products.data() + i * stride, i + itself, to, end);
    }
  }
}

/// gradient[r, 0 … 16) of kRows vectors: the sum over j of pairs[r, j] * vectors[j][0 … 16).
template <int kRows>
void gradient_tile(const float* pairs, std::int64_t stride, const float* const* vectors, std::int64_t features,
                   std::int64_t d, F16* sum) {
  F16 local[kRows];
  for (int r = 0; r < kRows; ++r) local[r] = sum[r];
  for (std::int64_t j = 0; j < features; ++j) {
    const F16 vector = F16::load(vectors[j] + d);
    for (int r = 0; r < kRows; ++r) local[r] = fma(F16::all(pairs[r * stride + j]), vector, local[r]);
  }
  for (int r = 0; r < kRows; ++r) sum[r] = local[r];
}

/// pairs [stride, stride] symmetric, from the packed triangle; zeros where there is no pair.
void unpack_pairs(const float* packed, std::int64_t features, bool itself, float* pairs, std::int64_t stride) {
  for (std::int64_t i = 0; i < features; ++i) {
    float* row = pairs + i * stride;
    for (std::int64_t j = 0; j < i; ++j) {
      row[j] = packed[j];
      pairs[j * stride + i] = packed[j];
    }
    packed += i;
    row[i] = itself ? 2 * *packed++ : 0.0F;
  }
}

template <std::int64_t kDim>
void backward(const InteractionShape& shape, std::span<const float* const> vectors, const float* grad_out,
              std::span<float* const> grad_vectors) {
  const auto features = static_cast<std::int64_t>(vectors.size());
  const std::int64_t dim = kDim == 0 ? shape.dim : kDim, out_stride = interaction_stride(features, shape);
  const std::int64_t stride = padded(features), cols = padded(dim);
  const bool is_ragged = kDim == 0 && cols != dim;  // the vectors are copied to where whole registers may be read
#pragma omp parallel if (shape.batch >= 128)
  {
    std::vector<float> pairs(static_cast<std::size_t>(stride * stride));
    std::vector<float> copies(static_cast<std::size_t>(is_ragged ? features * cols : 0)), edge(kLanes);
    std::vector<const float*> rows(static_cast<std::size_t>(features));
#pragma omp for schedule(static)
    for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
      const float* from = grad_out + sample * out_stride;
      const float* concatenated = shape.concatenate ? from : nullptr;
      unpack_pairs(from + (shape.concatenate ? dim : 0), features, shape.itself, pairs.data(), stride);
      for (std::int64_t j = 0; j < features; ++j) {
        rows[j] = vectors[j] + sample * dim;
        if (!is_ragged) continue;
        std::copy_n(rows[j], dim, copies.data() + j * cols);
        rows[j] = copies.data() + j * cols;
      }
      for (std::int64_t i = 0; i < features;) {
        const std::int64_t count = std::min<std::int64_t>(features - i, features - i > 4 ? 8 : 4);
        for (std::int64_t d = 0; d < cols; d += kLanes) {
          F16 sum[8];
          for (F16& one : sum) one = F16::all(0);
          if (i == 0 && concatenated != nullptr) {
            const bool is_whole = d + kLanes <= dim;
            if (!is_whole) std::copy(concatenated + d, concatenated + dim, edge.data());
            sum[0] = F16::load(is_whole ? concatenated + d : edge.data());
          }
          if (count > 4)
            gradient_tile<8>(pairs.data() + i * stride, stride, rows.data(), features, d, sum);
          else
            gradient_tile<4>(pairs.data() + i * stride, stride, rows.data(), features, d, sum);
          for (std::int64_t r = 0; r < count; ++r) {
            float* to = grad_vectors[i + r] + sample * dim + d;
            if (d + kLanes <= dim) {
              sum[r].store(to);
            } else {
              sum[r].store(edge.data());
              std::copy_n(edge.data(), dim - d, to);
            }
          }
        }
        i += count;
      }
    }
  }
}

void forward_any(const InteractionShape& shape, std::span<const float* const> vectors, float* out) {
  switch (shape.dim) {
    case 16:
      return forward<16>(shape, vectors, out);
    case 32:
      return forward<32>(shape, vectors, out);
    case 64:
      return forward<64>(shape, vectors, out);
    case 128:
      return forward<128>(shape, vectors, out);
    default:
      return forward<0>(shape, vectors, out);
  }
}

void backward_any(const InteractionShape& shape, std::span<const float* const> vectors, const float* grad_out,
                  std::span<float* const> grad_vectors) {
  switch (shape.dim) {
    case 16:
      return backward<16>(shape, vectors, grad_out, grad_vectors);
    case 32:
      return backward<32>(shape, vectors, grad_out, grad_vectors);
    case 64:
      return backward<64>(shape, vectors, grad_out, grad_vectors);
    case 128:
      return backward<128>(shape, vectors, grad_out, grad_vectors);
    default:
      return backward<0>(shape, vectors, grad_out, grad_vectors);
  }
}

constexpr InteractionFamily kFamily{forward_any, backward_any};

}  // namespace
}  // namespace swallowtail::cpu
