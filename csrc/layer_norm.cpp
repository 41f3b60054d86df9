#include "layer_norm.h"

#include "parallel.h"
#include "row_floats.h"
#include "scratch.h"

// Rows of an embedding are short: one takes a few registers, so that three passes over it cost no memory traffic.
// With n = (x - mean) scale and g = grad weight: grad_x = scale (g - mean of g - n (mean of g n)), grad_weight = sum of
// grad n, grad_bias = sum of grad.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int kColumns = 16;
constexpr int kParts = kColumns / kLanes;
constexpr int kGroup = 16;
constexpr int64_t kGrain = 1 << 14;  // numbers that a thread takes at a time
constexpr int64_t kPieceRows = 256;  // rows at least whose gradients of the weights are added up together
constexpr int64_t kPieces = 16;      // at most

// Neighbouring columns of a row; those that it lacks are 0.
struct Columns {
  Floats part[kParts];
};

inline int64_t lanes_of(int part, int64_t count) {
  const int64_t rest = count - part * kLanes;
  return rest < 0 ? 0 : rest < kLanes ? rest : kLanes;
}

template <bool Edge>
inline Columns read(const float* from, int64_t count) {
  Columns columns;
  for (int p = 0; p < kParts; ++p) {
    columns.part[p] = Edge ? load_first(from + p * kLanes, lanes_of(p, count)) : load(from + p * kLanes);
  }
  return columns;
}

template <bool Edge>
inline void write(float* to, int64_t count, const Columns& columns) {
  for (int p = 0; p < kParts; ++p) {
    if constexpr (Edge) store_first(to + p * kLanes, lanes_of(p, count), columns.part[p]);
    else store(to + p * kLanes, columns.part[p]);
  }
}

inline float total(const Columns& columns) {
  if constexpr (kParts == 4) {
    return sum_lanes((columns.part[0] + columns.part[2]) + (columns.part[1] + columns.part[3]));
  } else if constexpr (kParts == 2) {
    return sum_lanes(columns.part[0] + columns.part[1]);
  } else {
    return sum_lanes(columns.part[0]);
  }
}

// Calls work(whether these are the last columns and less than 16, first column, columns).
template <class Work>
inline void for_columns(int64_t dim, const Work& work) {
  int64_t d = 0;
  for (; d + kColumns <= dim; d += kColumns) work(Known<0>{}, d, int64_t{kColumns});
  if (d < dim) work(Known<1>{}, d, dim - d);
}

// Mean and scale of up to kGroup rows: the divisions and roots of all in a few registers.
struct Moments {
  float mean[kGroup], scale[kGroup];
};

alignas(64) constexpr float kOnes[kColumns] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

inline void moments(const float* x, int64_t rows, int64_t dim, float eps, Moments& of) {
  const float count = static_cast<float>(dim);
  for (int64_t r = 0; r < rows; ++r) {
    Columns sum = {};
    for_columns(dim, [&](auto edge, int64_t d, int64_t columns) {
      const Columns value = read<edge.value == 1>(x + r * dim + d, columns);
      for (int p = 0; p < kParts; ++p) sum.part[p] += value.part[p];
    });
    of.mean[r] = total(sum);
  }
  for (int64_t r = rows; r < kGroup; ++r) of.mean[r] = of.scale[r] = 0;
  for (int g = 0; g < kGroup; g += kLanes) store(of.mean + g, load(of.mean + g) / count);
  for (int64_t r = 0; r < rows; ++r) {
    Columns squares = {};
    for_columns(dim, [&](auto edge, int64_t d, int64_t columns) {
      constexpr bool kEdge = edge.value == 1;
      const Columns value = read<kEdge>(x + r * dim + d, columns), present = read<kEdge>(kOnes, columns);
      for (int p = 0; p < kParts; ++p) {
        const Floats difference = value.part[p] - of.mean[r] * present.part[p];
        squares.part[p] += difference * difference;
      }
    });
    of.scale[r] = total(squares);
  }
  for (int g = 0; g < kGroup; g += kLanes) store(of.scale + g, 1.0f / square_root(load(of.scale + g) / count + eps));
}

// Calls work(row, mean, scale) for rows begin to end - 1 of x.
template <class Work>
inline void for_rows(const float* x, int64_t begin, int64_t end, int64_t dim, float eps, const Work& work) {
  Moments of;
  for (int64_t r = begin; r < end; r += kGroup) {
    const int64_t rows = end - r < kGroup ? end - r : kGroup;
    moments(x + r * dim, rows, dim, eps, of);
    for (int64_t k = 0; k < rows; ++k) work(r + k, of.mean[k], of.scale[k]);
  }
}

// The gradient of one row; what it adds to those of the weights goes to of_weight and of_bias.
inline void backward(const float* x, float mean, float scale, const float* weight, const float* grad, int64_t dim,
                     float* grad_x, float* of_weight, float* of_bias) {
  Columns slopes = {}, products = {};
  for_columns(dim, [&](auto edge, int64_t d, int64_t count) {
    constexpr bool kEdge = edge.value == 1;
    const Columns value = read<kEdge>(x + d, count), by = read<kEdge>(grad + d, count);
    const Columns factor = read<kEdge>(weight + d, count);
    Columns to_weight = read<kEdge>(of_weight + d, count), to_bias = read<kEdge>(of_bias + d, count);
    for (int p = 0; p < kParts; ++p) {
      const Floats normal = (value.part[p] - mean) * scale, slope = by.part[p] * factor.part[p];
      slopes.part[p] += slope;
      products.part[p] += slope * normal;
      to_weight.part[p] += by.part[p] * normal;
      to_bias.part[p] += by.part[p];
    }
    write<kEdge>(of_weight + d, count, to_weight);
    write<kEdge>(of_bias + d, count, to_bias);
  });
  const float slope_mean = total(slopes) / static_cast<float>(dim);
  const float product_mean = total(products) / static_cast<float>(dim);
  for_columns(dim, [&](auto edge, int64_t d, int64_t count) {
    constexpr bool kEdge = edge.value == 1;
    const Columns value = read<kEdge>(x + d, count), by = read<kEdge>(grad + d, count);
    const Columns factor = read<kEdge>(weight + d, count);
    Columns result;
    for (int p = 0; p < kParts; ++p) {
      const Floats normal = (value.part[p] - mean) * scale, slope = by.part[p] * factor.part[p];
      result.part[p] = scale * (slope - slope_mean - normal * product_mean);
    }
    write<kEdge>(grad_x + d, count, result);
  });
}

}  // namespace

void layer_norm(const float* x, const float* weight, const float* bias, int64_t rows, int64_t dim, float eps,
                float* out, int threads) {
  parallel_rows(rows, kGrain / (dim + 1) + 1, threads, [&](int64_t begin, int64_t end, int) {
    for_rows(x, begin, end, dim, eps, [&](int64_t r, float mean, float scale) {
      const float* const from = x + r * dim;
      float* const to = out + r * dim;
      for_columns(dim, [&](auto edge, int64_t d, int64_t count) {
        constexpr bool kEdge = edge.value == 1;
        Columns value = read<kEdge>(from + d, count);
        const Columns factor = read<kEdge>(weight + d, count), shift = read<kEdge>(bias + d, count);
        for (int p = 0; p < kParts; ++p) {
          value.part[p] = (value.part[p] - mean) * scale * factor.part[p] + shift.part[p];
        }
        write<kEdge>(to + d, count, value);
      });
    });
  });
}

void layer_norm_backward(const float* x, const float* weight, const float* grad, int64_t rows, int64_t dim, float eps,
                         float* grad_x, float* grad_weight, float* grad_bias, int threads) {
  const int64_t sixteenth = (rows + kPieces - 1) / kPieces;
  const int64_t piece_rows = sixteenth > kPieceRows ? sixteenth : kPieceRows;
  const int64_t pieces = (rows + piece_rows - 1) / piece_rows;
  const Scratch<float> sums(static_cast<int>(pieces), 2 * dim);
  parallel_rows(pieces, 1, threads, [&](int64_t first, int64_t last, int) {
    for (int64_t piece = first; piece < last; ++piece) {
      float* const of_weight = sums.of(static_cast<int>(piece));
      std::memset(of_weight, 0, 2 * dim * sizeof(float));
      const int64_t end = (piece + 1) * piece_rows < rows ? (piece + 1) * piece_rows : rows;
      for_rows(x, piece * piece_rows, end, dim, eps, [&](int64_t r, float mean, float scale) {
        const int64_t at = r * dim;
        backward(x + at, mean, scale, weight, grad + at, dim, grad_x + at, of_weight, of_weight + dim);
      });
    }
  });
  float* const all = sums.of(0);
  if (pieces == 0) std::memset(all, 0, 2 * dim * sizeof(float));
  for (int64_t piece = 1; piece < pieces; ++piece) {
    const float* const part = sums.of(static_cast<int>(piece));
    for (int64_t k = 0; k < 2 * dim; ++k) all[k] += part[k];
  }
  std::memcpy(grad_weight, all, dim * sizeof(float));
  std::memcpy(grad_bias, all + dim, dim * sizeof(float));
}

}  // namespace kernels::KERNEL_ISA
