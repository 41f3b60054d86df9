#include "dot_interaction.h"

#include "floats.h"
#include "parallel.h"
#include "scratch.h"

// Forward: a sample is transposed so that its features lie side by side; then a row of the triangle is a sum of
// vectors over d and needs no horizontal addition. Backward: a row of the gradient is a sum of the other features'
// vectors. Both work on 4 rows x 2 registers at a time, which makes 8 multiply-adds out of 6 loads.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kSamples = 16;  // samples that a thread takes at a time
constexpr int kRows = 4;
constexpr int kVectors = 2;

constexpr int64_t triangle(int64_t rows) { return rows * (rows - 1) / 2; }

// products[r, v * kLanes ...] = x[r, :] . columns v * kLanes ..., for `Rows` rows and `Vectors` registers of columns.
template <int Rows, int Vectors>
inline void multiply_block(const float* x, const float* transposed, int64_t dim, int64_t width, float* products) {
  Floats sum[Rows][Vectors] = {};
  for (int64_t d = 0; d < dim; ++d) {
    for (int v = 0; v < Vectors; ++v) {
      const Floats column = load(transposed + d * width + v * kLanes);
      for (int r = 0; r < Rows; ++r) sum[r][v] += x[r * dim + d] * column;
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vectors; ++v) store(products + r * width + v * kLanes, sum[r][v]);
  }
}

template <int Rows>
inline void multiply_rows(const float* x, const float* transposed, int64_t dim, int64_t width, int64_t columns,
                          float* products) {
  int64_t c = 0;
  for (; c + kLanes < columns; c += kVectors * kLanes) {
    multiply_block<Rows, kVectors>(x, transposed + c, dim, width, products + c);
  }
  if (c < columns) multiply_block<Rows, 1>(x, transposed + c, dim, width, products + c);
}

// One sample; `pairs` has room for triangle(features) + kLanes numbers, `products` for kRows * width.
void multiply_sample(const float* x, int64_t features, int64_t dim, int64_t width, float* transposed, float* products,
                     float* pairs) {
  for (int64_t f = 0; f < features; ++f) {
    for (int64_t d = 0; d < dim; ++d) transposed[d * width + f] = x[f * dim + d];
  }
  for (int64_t i = 1; i < features; i += kRows) {
    const int64_t rows = features - i < kRows ? features - i : kRows;
    const int64_t columns = i + rows - 1;  // the last row of the block has this many pairs
    const float* const from = x + i * dim;
    if (rows == 4) multiply_rows<4>(from, transposed, dim, width, columns, products);
    if (rows == 3) multiply_rows<3>(from, transposed, dim, width, columns, products);
    if (rows == 2) multiply_rows<2>(from, transposed, dim, width, columns, products);
    if (rows == 1) multiply_rows<1>(from, transposed, dim, width, columns, products);
    for (int64_t r = 0; r < rows; ++r) {
      float* const to = pairs + triangle(i + r);
      // Whole registers: what goes beyond this row is overwritten by the next one, or lies in the spare room.
      for (int64_t c = 0; c < i + r; c += kLanes) store(to + c, load(products + r * width + c));
    }
  }
}

// sum[r] += grad(i + r, j) * x[j] for j in [from, to); at(r, j) is the place of pair (i + r, j).
template <int Rows, int Vectors, class At>
inline void add_features(const float* x, const float* grad, int64_t width, int64_t from, int64_t to, const At& at,
                         Floats (&sum)[Rows][Vectors]) {
  for (int64_t j = from; j < to; ++j) {
    Floats feature[Vectors];
    for (int v = 0; v < Vectors; ++v) feature[v] = load(x + j * width + v * kLanes);
    for (int r = 0; r < Rows; ++r) {
      const float factor = grad[at(r, j)];
      for (int v = 0; v < Vectors; ++v) sum[r][v] += factor * feature[v];
    }
  }
}

template <int Rows, int Vectors>
inline void gradient_block(const float* x, const float* grad, int64_t features, int64_t width, int64_t i, float* out) {
  Floats sum[Rows][Vectors] = {};
  add_features(x, grad, width, 0, i, [&](int r, int64_t j) { return triangle(i + r) + j; }, sum);
  for (int64_t j = i; j < i + Rows; ++j) {
    for (int r = 0; r < Rows; ++r) {
      if (i + r == j) continue;
      const float factor = grad[i + r > j ? triangle(i + r) + j : triangle(j) + i + r];
      for (int v = 0; v < Vectors; ++v) sum[r][v] += factor * load(x + j * width + v * kLanes);
    }
  }
  add_features(x, grad, width, i + Rows, features, [&](int r, int64_t j) { return triangle(j) + i + r; }, sum);
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vectors; ++v) store(out + (i + r) * width + v * kLanes, sum[r][v]);
  }
}

template <int Rows>
inline void gradient_rows(const float* x, const float* grad, int64_t features, int64_t width, int64_t i, float* out) {
  int64_t d = 0;
  for (; d + kLanes < width; d += kVectors * kLanes) {
    gradient_block<Rows, kVectors>(x + d, grad, features, width, i, out + d);
  }
  if (d < width) gradient_block<Rows, 1>(x + d, grad, features, width, i, out + d);
}

// One sample; rows of x and out are `width` long, a multiple of kLanes.
void gradient_sample(const float* x, const float* grad, int64_t features, int64_t width, float* out) {
  int64_t i = 0;
  for (; i + kRows <= features; i += kRows) gradient_rows<kRows>(x, grad, features, width, i, out);
  if (features - i == 3) gradient_rows<3>(x, grad, features, width, i, out);
  if (features - i == 2) gradient_rows<2>(x, grad, features, width, i, out);
  if (features - i == 1) gradient_rows<1>(x, grad, features, width, i, out);
}

}  // namespace

void dot_interaction(const float* x, int64_t batch, int64_t features, int64_t dim, float* out, int threads) {
  const int64_t pairs = triangle(features);
  const int64_t width = round_up(features);
  const Scratch<float> transposed(threads, dim * width);
  const Scratch<float> products(threads, kRows * width);
  const Scratch<float> triangles(threads, pairs + kLanes);
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int worker) {
    std::memset(transposed.of(worker), 0, dim * width * sizeof(float));
    for (int64_t b = begin; b < end; ++b) {
      multiply_sample(x + b * features * dim, features, dim, width, transposed.of(worker), products.of(worker),
                      triangles.of(worker));
      std::memcpy(out + b * pairs, triangles.of(worker), pairs * sizeof(float));
    }
  });
}

void dot_interaction_backward(const float* x, const float* grad, int64_t batch, int64_t features, int64_t dim,
                              float* grad_x, int threads) {
  const int64_t pairs = triangle(features);
  const int64_t width = round_up(dim);
  const int64_t spare = width == dim ? 0 : features * width;
  const Scratch<float> padded(threads, spare);
  const Scratch<float> result(threads, spare);
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int worker) {
    float* const from = padded.of(worker);
    float* const to = result.of(worker);
    std::memset(from, 0, spare * sizeof(float));
    for (int64_t b = begin; b < end; ++b) {
      const float* const sample = x + b * features * dim;
      float* const out = grad_x + b * features * dim;
      if (spare == 0) {
        gradient_sample(sample, grad + b * pairs, features, width, out);
        continue;
      }
      for (int64_t f = 0; f < features; ++f) std::memcpy(from + f * width, sample + f * dim, dim * sizeof(float));
      gradient_sample(from, grad + b * pairs, features, width, to);
      for (int64_t f = 0; f < features; ++f) std::memcpy(out + f * dim, to + f * width, dim * sizeof(float));
    }
  });
}

}  // namespace kernels::KERNEL_ISA
