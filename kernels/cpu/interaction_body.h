// Dot interaction over wide registers. Forward: the lanes are the partners j of a vector i, so the sample is transposed
// first and no sum crosses lanes. Backward: the lanes are the columns, and the triangle of pair gradients is read where
// it lies, by rows for the partners before a vector and by columns for those behind it. Included after a simd_*.h,
// under its target.
#pragma once

namespace swallowtail::cpu {
namespace {

constexpr std::int64_t kLanes = 16;

constexpr std::int64_t padded(std::int64_t size) { return (size + kLanes - 1) / kLanes * kLanes; }

/// to[d * stride + j] = rows[j][d] for eight rows and columns d, d + 1, … d + 7.
void transpose_8x8(const float* const* rows, std::int64_t d, float* to, std::int64_t stride) {
  __m256 in[8], pairs[8], fours[8];
  for (int j = 0; j < 8; ++j) in[j] = _mm256_loadu_ps(rows[j] + d);
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

/// to [dim, stride]: the sample's vectors as columns, in groups of eight; what stands behind them is anything.
void transpose_sample(const float* const* rows, std::int64_t features, std::int64_t dim, float* to,
                      std::int64_t stride) {
  const std::int64_t whole = dim / 8 * 8;
  for (std::int64_t j = 0; j < features; j += 8) {
    for (std::int64_t d = 0; d < whole; d += 8) transpose_8x8(rows + j, d, to + j, stride);
    for (std::int64_t d = whole; d < dim; ++d)
      for (std::int64_t k = 0; k < 8; ++k) to[d * stride + j + k] = rows[j + k][d];
  }
}

/// Asks for what the sample a little further on has in each of these arrays, to be read or written: they are more than
/// the machine's own prefetcher follows. Always inline: GCC takes a function that only prefetches for one without
/// effect and drops its calls.
template <int kWrites, typename Arrays>
[[gnu::always_inline]] inline void prefetch_sample(const Arrays& arrays, std::int64_t sample, std::int64_t batch,
                                                   std::int64_t dim) {
  const std::int64_t next = sample + std::max<std::int64_t>(1, 64 / dim);
  if (next >= batch) return;
  for (const float* of : arrays)
    for (std::int64_t d = 0; d < dim; d += kLanes) __builtin_prefetch(of + next * dim + d, kWrites);
}

constexpr int kTile = 4;  // rows that share a load

/// Where kTile rows of the triangle stand in the output.
struct TriangleRows {
  float* begin[kTile];
  std::int64_t partners[kTile];  // of each; 0: no such row
  float* end;                    // of the sample
};

/// Products of kTile rows with the partners from j on, as many as a Vector holds. What is too much of a row is written
/// over by the rows behind it.
template <typename Vector>
void product_tile(const float* const* rows, const float* transposed, std::int64_t stride, std::int64_t dim,
                  const TriangleRows& to, std::int64_t j) {
  Vector sum[kTile];
  for (int r = 0; r < kTile; ++r) sum[r] = Vector::all(0);
  for (std::int64_t d = 0; d < dim; ++d) {
    const Vector partners = Vector::load(transposed + d * stride + j);
    for (int r = 0; r < kTile; ++r) sum[r] = fma(Vector::all(rows[r][d]), partners, sum[r]);
  }
  for (int r = 0; r < kTile; ++r) {
    if (to.begin[r] + j + Vector::kWidth <= to.end) {
      sum[r].store(to.begin[r] + j);
    } else if (to.partners[r] > j) {
      float last[Vector::kWidth];
      sum[r].store(last);
      std::copy_n(last, std::min(Vector::kWidth, to.partners[r] - j), to.begin[r] + j);
    }
  }
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
    // Groups of eight and tiles of four read the first vector for those that there are not.
    std::vector<const float*> rows(static_cast<std::size_t>(stride));
#pragma omp for schedule(static)
    for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
      for (std::int64_t i = 0; i < stride; ++i) rows[i] = vectors[i < features ? i : 0] + sample * dim;
      prefetch_sample<0>(vectors, sample, shape.batch, dim);
      transpose_sample(rows.data(), features, dim, transposed.data(), stride);
      float* to = out + sample * out_stride;
      TriangleRows tile;
      tile.end = to + width;
      if (shape.concatenate) to = std::copy_n(rows[0], dim, to);
      for (std::int64_t i = 0; i < features; i += kTile) {
        std::int64_t most = 0;
        for (std::int64_t r = 0; r < kTile; ++r) {
          tile.begin[r] = to;
          tile.partners[r] = i + r < features ? i + r + itself : 0;
          to += tile.partners[r];
          most = std::max(most, tile.partners[r]);
        }
        // From the last partners to the first: a row's excess then meets no product that is there to stay.
        for (std::int64_t j = (most - 1) / kLanes * kLanes; j >= 0; j -= kLanes) {
          if (most - j <= 8)
            product_tile<F8>(rows.data() + i, transposed.data(), stride, dim, tile, j);
          else
            product_tile<F16>(rows.data() + i, transposed.data(), stride, dim, tile, j);
        }
      }
    }
  }
}

constexpr int kMostRows = kHas512Bits ? 8 : 6;  // sums of gradients that stay in registers

/// Pair gradients of kRows vectors from `first` on, in the packed triangle.
template <int kRows>
struct PairRows {
  PairRows(const float* triangle, std::int64_t from, std::int64_t of, bool with_itself)
      : first(from), features(of), itself(with_itself ? 1 : 0) {
    before[0] = triangle + interaction_pairs(first, with_itself);
    for (int r = 1; r < kRows; ++r) before[r] = before[r - 1] + first + r - 1 + itself;
    behind = before[kRows - 1] + first + kRows - 1 + itself + first;
    for (int r = 0; r < kRows; ++r) {
      for (int k = 0; k < r; ++k) among[r][k] = among[k][r] = before[r][first + k];
      among[r][r] = itself ? 2 * before[r][first + r] : 0.0F;
    }
  }
  std::int64_t first, features, itself;
  const float* before[kRows];  // [first] with the vectors before these
  float among[kRows][kRows];
  const float* behind;  // [kRows] of the vector behind these; that of the next one begins its number + itself later
};

/// Adds to sum[r] the sum over j of the gradient of the pair (r, j) times vectors[j][d … d + 16), in the order of j.
template <int kRows>
void gradient_tile(const PairRows<kRows>& pairs, const float* const* vectors, std::int64_t d, F16* sum) {
  F16 local[kRows];
  for (int r = 0; r < kRows; ++r) local[r] = sum[r];
  for (std::int64_t j = 0; j < pairs.first; ++j) {
    const F16 vector = F16::load(vectors[j] + d);
    for (int r = 0; r < kRows; ++r) local[r] = fma(F16::all(pairs.before[r][j]), vector, local[r]);
  }
  for (int k = 0; k < kRows; ++k) {
    const F16 vector = F16::load(vectors[pairs.first + k] + d);
    for (int r = 0; r < kRows; ++r) local[r] = fma(F16::all(pairs.among[r][k]), vector, local[r]);
  }
  const float* behind = pairs.behind;
  for (std::int64_t j = pairs.first + kRows; j < pairs.features; behind += j + pairs.itself, ++j) {
    const F16 vector = F16::load(vectors[j] + d);
    for (int r = 0; r < kRows; ++r) local[r] = fma(F16::all(behind[r]), vector, local[r]);
  }
  for (int r = 0; r < kRows; ++r) sum[r] = local[r];
}

/// One sample on its way back.
struct SampleBackward {
  std::int64_t features, dim;
  bool itself;
  const float* concatenated;      // [dim] the gradient that the first vector has besides, or null
  const float* triangle;          // packed pair gradients
  const float* const* vectors;    // [features][padded dim]
  std::span<float* const> grads;  // [features], of all samples
  std::int64_t place;             // of this sample in them
};

/// The gradients of kRows vectors from `first` on, or of as many as are left.
template <int kRows>
void gradient_rows(const SampleBackward& of, std::int64_t first) {
  if constexpr (kRows > 1)
    if (of.features - first < kRows) return gradient_rows<kRows - 1>(of, first);
  const PairRows<kRows> pairs(of.triangle, first, of.features, of.itself);
  for (std::int64_t d = 0; d < of.dim; d += kLanes) {
    const std::int64_t columns = std::min(kLanes, of.dim - d);
    F16 sum[kRows];
    for (F16& one : sum) one = F16::all(0);
    float edge[kLanes] = {};
    if (first == 0 && of.concatenated != nullptr) {
      std::copy_n(of.concatenated + d, columns, edge);
      sum[0] = F16::load(edge);
    }
    gradient_tile<kRows>(pairs, of.vectors, d, sum);
    for (int r = 0; r < kRows; ++r) {
      float* to = of.grads[static_cast<std::size_t>(first + r)] + of.place + d;
      if (columns == kLanes) {
        sum[r].store(to);
      } else {
        sum[r].store(edge);
        std::copy_n(edge, columns, to);
      }
    }
  }
}

template <std::int64_t kDim>
void backward(const InteractionShape& shape, std::span<const float* const> vectors, const float* grad_out,
              std::span<float* const> grad_vectors) {
  const auto features = static_cast<std::int64_t>(vectors.size());
  const std::int64_t dim = kDim == 0 ? shape.dim : kDim, out_stride = interaction_stride(features, shape);
  const std::int64_t cols = padded(dim);
  const bool is_ragged = kDim == 0 && cols != dim;  // the vectors are copied to where whole registers may be read
#pragma omp parallel if (shape.batch >= 128)
  {
    std::vector<float> copies(static_cast<std::size_t>(is_ragged ? features * cols : 0));
    std::vector<const float*> rows(static_cast<std::size_t>(features));
#pragma omp for schedule(static)
    for (std::int64_t sample = 0; sample < shape.batch; ++sample) {
      const float* from = grad_out + sample * out_stride;
      prefetch_sample<0>(vectors, sample, shape.batch, dim);
      prefetch_sample<1>(grad_vectors, sample, shape.batch, dim);
      for (std::int64_t j = 0; j < features; ++j) {
        rows[j] = vectors[j] + sample * dim;
        if (!is_ragged) continue;
        std::copy_n(rows[j], dim, copies.data() + j * cols);
        rows[j] = copies.data() + j * cols;
      }
      const SampleBackward of{features,
                              dim,
                              shape.itself,
                              shape.concatenate ? from : nullptr,
                              from + (shape.concatenate ? dim : 0),
                              rows.data(),
                              grad_vectors,
                              sample * dim};
      for (std::int64_t first = 0; first < features; first += kMostRows) gradient_rows<kMostRows>(of, first);
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
