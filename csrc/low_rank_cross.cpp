#include "low_rank_cross.h"

#include "parallel.h"
#include "products.h"
#include "scratch.h"

// With v = x down^T and u = v up^T + bias: out = x0 u + x. With g the gradient of out and h = g x0 that of u:
// grad_x0 = g u, grad_bias = sum of h, grad_up = h^T v, w = h up that of v, grad_down = w^T x, grad_x = g + w down.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kRows = 48;        // rows whose x stays in the second-level cache between the two products
constexpr int64_t kPieceRows = 256;  // rows at least whose contributions to the weights' gradients are added up together
constexpr int64_t kPieces = 16;      // at most

inline Floats read(const float* from, int64_t lanes) { return lanes < kLanes ? load_first(from, lanes) : load(from); }

inline void write(float* to, int64_t lanes, const Floats& value) {
  if (lanes < kLanes) store_first(to, lanes, value);
  else store(to, value);
}

inline void zero(float* to, int64_t count) { std::memset(to, 0, count * sizeof(float)); }

// The weights as panels, packed once before the parallel region.
struct Panels {
  int64_t dim, rank;
  Scratch<float> down_columns;  // x -> v
  Scratch<float> up_columns;    // v -> u

  Panels(const float* down, const float* up, int64_t dim, int64_t rank)
      : dim(dim), rank(rank), down_columns(1, dim * padded(rank)), up_columns(1, rank * padded(dim)) {
    pack_columns(down, dim, rank, down_columns.of(0));
    pack_columns(up, rank, dim, up_columns.of(0));
  }

  // v of `rows` rows of x, each padded(rank) long.
  void narrow(const float* x, int64_t rows, float* v) const {
    zero(v, rows * padded(rank));
    add_product(Plain{x, dim}, rows, dim, down_columns.of(0), dim * kWide, kWide, rank, v);
  }

  // Calls finish(row, first column, columns, v up^T).
  template <class Finish>
  void widen(const float* v, int64_t rows, const Finish& finish) const {
    each_product(Plain{v, padded(rank)}, rows, rank, up_columns.of(0), dim, finish);
  }
};

}  // namespace

void low_rank_cross(const float* x0, const float* x, const float* down, const float* up, const float* bias,
                    int64_t batch, int64_t dim, int64_t rank, float* out, int threads) {
  const Panels panels(down, up, dim, rank);
  const Scratch<float> inner(threads, kRows * padded(rank));
  parallel_rows(batch, kRows, threads, [&](int64_t begin, int64_t end, int worker) {
    float* const v = inner.of(worker);
    for (int64_t b = begin; b < end; b += kRows) {
      const int64_t rows = end - b < kRows ? end - b : kRows;
      panels.narrow(x + b * dim, rows, v);
      panels.widen(v, rows, [&](int64_t i, int64_t c, int64_t lanes, const Floats& product) {
        const int64_t place = (b + i) * dim + c;
        const Floats u = product + read(bias + c, lanes);
        write(out + place, lanes, multiply_add(read(x0 + place, lanes), u, read(x + place, lanes)));
      });
    }
  });
}

void low_rank_cross_backward(const float* x0, const float* x, const float* down, const float* up, const float* bias,
                             const float* grad, int64_t batch, int64_t dim, int64_t rank, float* grad_x0,
                             float* grad_x, float* grad_down, float* grad_up, float* grad_bias, int threads) {
  const int64_t width = padded(rank);
  const int64_t sixteenth = (batch + kPieces - 1) / kPieces;
  const int64_t piece_rows = sixteenth > kPieceRows ? sixteenth : kPieceRows;
  const int64_t pieces = (batch + piece_rows - 1) / piece_rows;
  const Panels panels(down, up, dim, rank);
  const Scratch<float> up_rows(1, dim * width);           // h -> w
  const Scratch<float> down_rows(1, rank * padded(dim));  // w -> grad_x
  const Scratch<float> inner(threads, 2 * kRows * width + kRows * dim);
  const Scratch<float> sums(static_cast<int>(pieces), 2 * dim * width + dim);
  pack_rows(up, dim, rank, up_rows.of(0));
  pack_rows(down, rank, dim, down_rows.of(0));

  parallel_rows(pieces, 1, threads, [&](int64_t first, int64_t last, int worker) {
    float* const v = inner.of(worker);
    float* const w = v + kRows * width;
    float* const h = w + kRows * width;
    for (int64_t piece = first; piece < last; ++piece) {
      float* const of_up = sums.of(static_cast<int>(piece));
      float* const of_down = of_up + dim * width;  // transposed
      float* const of_bias = of_down + dim * width;
      zero(of_up, 2 * dim * width + dim);
      const int64_t end = (piece + 1) * piece_rows < batch ? (piece + 1) * piece_rows : batch;
      for (int64_t b = piece * piece_rows; b < end; b += kRows) {
        const int64_t rows = end - b < kRows ? end - b : kRows;
        const float* const from = x + b * dim;
        panels.narrow(from, rows, v);
        panels.widen(v, rows, [&](int64_t i, int64_t c, int64_t lanes, const Floats& product) {
          const int64_t place = (b + i) * dim + c;
          const Floats g = read(grad + place, lanes), slope = g * read(x0 + place, lanes);
          write(grad_x0 + place, lanes, g * (product + read(bias + c, lanes)));
          write(h + i * dim + c, lanes, slope);
          write(of_bias + c, lanes, read(of_bias + c, lanes) + slope);
        });
        zero(w, rows * width);
        add_product(Plain{h, dim}, rows, dim, up_rows.of(0), dim * kWide, kWide, rank, w);
        each_product(Plain{w, width}, rows, rank, down_rows.of(0), dim,
                     [&](int64_t i, int64_t c, int64_t lanes, const Floats& product) {
                       const int64_t place = (b + i) * dim + c;
                       write(grad_x + place, lanes, read(grad + place, lanes) + product);
                     });
        add_product(Transposed{h, dim}, dim, rows, v, kWide, width, rank, of_up);
        add_product(Transposed{from, dim}, dim, rows, w, kWide, width, rank, of_down);
      }
    }
  });

  float* const total = sums.of(0);
  if (pieces == 0) zero(total, 2 * dim * width + dim);
  for (int64_t piece = 1; piece < pieces; ++piece) {
    const float* const part = sums.of(static_cast<int>(piece));
    for (int64_t k = 0; k < 2 * dim * width + dim; ++k) total[k] += part[k];
  }
  for (int64_t d = 0; d < dim; ++d) std::memcpy(grad_up + d * rank, total + d * width, rank * sizeof(float));
  for (int64_t r = 0; r < rank; ++r) {
    for (int64_t d = 0; d < dim; ++d) grad_down[r * dim + d] = total[(dim + d) * width + r];
  }
  std::memcpy(grad_bias, total + 2 * dim * width, dim * sizeof(float));
}

}  // namespace kernels::KERNEL_ISA
