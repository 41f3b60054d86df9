#include "dot_interaction.h"

#include "bfloat16.h"
#include "parallel.h"
#include "scratch.h"
#include "transpose.h"

// Forward: a sample is transposed so that its features lie side by side; then a row of the triangle is a sum of
// registers over d that needs no addition across lanes, and the factor of a row is one number beside them. A row is
// stored in whole registers: what goes beyond its end is overwritten by the rows that follow, so the last samples of
// a piece go through a spare place.
// Backward: a row of the gradient is a sum of the other features' vectors, each times one number of the triangle.

namespace kernels::KERNEL_ISA {
namespace {

constexpr int64_t kSamples = 16;        // samples that a thread takes at a time
constexpr int64_t kLarge = 1 << 20;     // numbers of a gradient from which streaming wins (measured)
constexpr int64_t kPanel = 32;          // features side by side; more of them form further panels
constexpr int64_t kSpare = 2 * kLanes;  // room beyond the end for whole registers

constexpr int64_t triangle(int64_t rows) { return rows * (rows - 1) / 2; }

// Rows of the next sample, to be fetched while this one is worked on: a line of each for every kStep of d.
constexpr int64_t kStep = 16;
struct Ahead {
  const char* rows;  // nullptr where there are none
  int64_t row_bytes, step_bytes;
};

// Rows times columns, for registers of columns that stand `width` apart for one d and the next. Row r of the triangle
// has length + r columns and is stored after those before it.
template <class Vector, int Rows, int Vectors>
inline void multiply(const float* rows, const float* columns, int64_t dim, int64_t width, int64_t length,
                     const Ahead& ahead, float* to) {
  constexpr int kSize = sizeof(Vector) / sizeof(float);
  Vector sum[Rows][Vectors] = {};
  for (int64_t begin = 0; begin < dim; begin += kStep) {
    if (ahead.rows != nullptr) {
      const char* const line = ahead.rows + begin / kStep * ahead.step_bytes;
      for (int r = 0; r < Rows; ++r) __builtin_prefetch(line + r * ahead.row_bytes, 0, 2);
    }
    const int64_t end = begin + kStep < dim ? begin + kStep : dim;
    for (int64_t d = begin; d < end; ++d, rows += width, columns += width) {
      Vector column[Vectors];
      for (int v = 0; v < Vectors; ++v) column[v] = load<Vector>(columns + v * kSize);
      for (int r = 0; r < Rows; ++r) {
        const Vector factor = fill<Vector>(rows[r]);
        for (int v = 0; v < Vectors; ++v) sum[r][v] = multiply_add(factor, column[v], sum[r][v]);
      }
    }
  }
  for (int r = 0; r < Rows; ++r, to += length++) {
    for (int v = 0; v < Vectors; ++v) store(to + v * kSize, sum[r][v]);
  }
}

// `Rows` rows of the triangle and `columns` columns of one panel: first those that are furthest right, so that what a
// row writes beyond its end comes before the first columns of the next.
template <int Rows>
inline void multiply_panel(const float* rows, const float* panel, int64_t columns, int64_t dim, int64_t width,
                           int64_t length, Ahead& ahead, float* to) {
  const auto part = [&](auto vector, auto count, int64_t c) {
    multiply<decltype(vector), Rows, count.value>(rows, panel + c, dim, width, length, ahead, to + c);
    ahead.rows = nullptr;  // the first part has done it
  };
  if constexpr (kNarrow < kLanes) {
    if (columns > 24) return part(Floats{}, Known<2>{}, 0);
    if (columns > 16) part(NarrowFloats{}, Known<1>{}, 16);
    if (columns > 8) part(Floats{}, Known<1>{}, 0);
    else part(NarrowFloats{}, Known<1>{}, 0);
  } else {
    int64_t registers = (columns + kLanes - 1) / kLanes;
    if constexpr (kLanes == 8 && Rows <= 4) {
      if (registers == 3) return part(Floats{}, Known<3>{}, 0);
    }
    if (registers % 2 == 1) part(Floats{}, Known<1>{}, --registers * kLanes);
    while (registers > 0) part(Floats{}, Known<2>{}, (registers -= 2) * kLanes);
  }
}

// The triangle of one sample, of which row i has i + diagonal columns.
void multiply_sample(const float* panels, int64_t features, int64_t dim, int64_t width, int64_t diagonal,
                     const Ahead& next, float* pairs) {
  int64_t i = features <= width ? 1 - diagonal : 0;  // blocks of rows must not go across panels
  while (i < features) {
    const float* const rows = panels + i / width * width * dim + i % width;
    const int64_t length = i + diagonal;
    const int64_t block = kLanes == 16 || length <= 1 ? 8 : 4;
    const int64_t count = features - i < block ? features - i : block;
    Ahead ahead = next;
    if (ahead.rows != nullptr) ahead.rows += i * ahead.row_bytes;
    with_known<8>(count, [&](auto known) {
      constexpr int kRows = known.value;
      const int64_t columns = length + kRows - 1;
      for (int64_t panel = (columns - 1) / width; panel >= 0; --panel) {
        const int64_t from = panel * width;
        multiply_panel<kRows>(rows, panels + from * dim, columns - from < width ? columns - from : width, dim, width,
                              length, ahead, pairs + triangle(length) + from);
      }
    });
    i += count;
  }
}

struct Sample {
  const float* grad;
  int64_t features, dim, diagonal;
  int64_t ahead;  // numbers from this sample to one that will be needed soon, 0 where there is none
  bool streams;   // whether the result goes past the caches
};

// Sums of x[j] * grad[pair(i + r, j)] over j for `Rows` rows and the registers at x and out. With Edge there is one
// register of which only the first `lanes` lanes count.
template <int Rows, int Vectors, bool Edge>
inline void gradient_tile(const Sample& sample, const float* x, int64_t i, int64_t lanes, float* out) {
  const float* const grad = sample.grad;
  const int64_t features = sample.features, dim = sample.dim, diagonal = sample.diagonal;
  Floats sum[Rows][Vectors] = {};
  Floats feature[Vectors];
  const auto read = [&](const float* from) {
    for (int v = 0; v < Vectors; ++v) feature[v] = Edge ? load_first(from, lanes) : load(from + v * kLanes);
  };
  const auto add = [&](int r, float factor) {
    for (int v = 0; v < Vectors; ++v) sum[r][v] = multiply_add(fill(factor), feature[v], sum[r][v]);
  };
  const float* row[Rows];
  for (int r = 0; r < Rows; ++r) row[r] = grad + triangle(i + r + diagonal);
  const float* from = x;
  for (int64_t j = 0; j < i; ++j, from += dim) {
    read(from);
    for (int r = 0; r < Rows; ++r) add(r, row[r][j]);
  }
#pragma GCC unroll 16
  for (int j = 0; j < Rows; ++j, from += dim) {
    read(from);
    for (int r = 0; r < j; ++r) add(r, row[j][i + r]);
    if (diagonal != 0) add(j, 2 * row[j][i + j]);
    for (int r = j + 1; r < Rows; ++r) add(r, row[r][i + j]);
  }
  const float* column = grad + triangle(i + Rows + diagonal) + i;
  for (int64_t j = i + Rows; j < features; column += j + diagonal, ++j, from += dim) {
    read(from);
    for (int r = 0; r < Rows; ++r) add(r, column[r]);
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vectors; ++v) {
      float* const to = out + (i + r) * dim + v * kLanes;
      if constexpr (Edge) store_first(to, lanes, sum[r][v]);
      else if (sample.streams) stream(to, sum[r][v]);
      else store(to, sum[r][v]);
    }
  }
}

// All rows of `Vectors` registers, in blocks of nearly equal size.
template <int Rows, int Vectors, bool Edge = false>
void gradient_rows(const Sample& sample, const float* x, int64_t lanes, float* out) {
  constexpr int64_t kBytes = Vectors * kLanes * sizeof(float);
  const int64_t features = sample.features;
  int64_t i = 0;
  for (int64_t blocks = (features + Rows - 1) / Rows; blocks > 0; --blocks) {
    const int64_t end = i + (features - i) / blocks;
    for (int64_t r = i; sample.ahead != 0 && r < end; ++r) {
      const int64_t next = sample.ahead + r * sample.dim;
      prefetch(x + next, kBytes);
      if (!sample.streams) prefetch(out + next, kBytes);
    }
    with_known<Rows>(end - i, [&](auto known) {
      gradient_tile<known.value, Vectors, Edge>(sample, x, i, lanes, out);
    });
    i = end;
  }
}

void gradient_sample(const Sample& sample, const float* x, float* out) {
  const int64_t dim = sample.dim;
  int64_t d = 0;
  if constexpr (kRegisters == 32) {
    for (; d + 4 * kLanes <= dim; d += 4 * kLanes) gradient_rows<6, 4>(sample, x + d, kLanes, out + d);
  }
  constexpr int kRows = kRegisters == 32 ? 9 : 6;
  for (; d + 2 * kLanes <= dim; d += 2 * kLanes) gradient_rows<kRows, 2>(sample, x + d, kLanes, out + d);
  for (; d + kLanes <= dim; d += kLanes) gradient_rows<9, 1>(sample, x + d, kLanes, out + d);
  if (d < dim) gradient_rows<4, 1, true>(sample, x + d, dim - d, out + d);
}

}  // namespace

template <class T>
void dot_interaction(const T* x, int64_t batch, int64_t features, int64_t dim, bool diagonal, T* out, int threads) {
  constexpr bool kIsFloat = sizeof(T) == sizeof(float);
  const int64_t pairs = triangle(features + diagonal);
  const int64_t whole = (features + kNarrow - 1) / kNarrow * kNarrow;
  const int64_t width = whole < kPanel ? whole : kPanel;
  const int64_t count = width == 0 ? 0 : (features + width - 1) / width;
  const Scratch<float> panels(threads, count * width * dim + kSpare);
  const Scratch<float> triangles(threads, pairs + kSpare);
  const Scratch<float> samples(threads, kIsFloat ? 0 : features * dim);
  // Whether what sample b writes beyond its end is overwritten by samples of the same piece.
  const auto inside = [&](int64_t b, int64_t end) { return (end - b - 1) * pairs >= kSpare; };
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t b = begin; b < end; ++b) {
      const float* sample;
      float* to = triangles.of(worker);
      if constexpr (kIsFloat) {
        sample = x + b * features * dim;
        if (inside(b, end)) to = out + b * pairs;
      } else {
        sample = samples.of(worker);
        widen(x + b * features * dim, features * dim, samples.of(worker));
      }
      for (int64_t panel = 0; panel < count; ++panel) {
        const int64_t from = panel * width;
        transpose(sample + from * dim, dim, features - from < width ? features - from : width, dim, width,
                  panels.of(worker) + from * dim);
      }
      const char* const next = reinterpret_cast<const char*>(x + (b + 1) * features * dim);
      const Ahead ahead{b + 1 < end ? next : nullptr, static_cast<int64_t>(dim * sizeof(T)), kStep * sizeof(T)};
      multiply_sample(panels.of(worker), features, dim, width, diagonal, ahead, to);
      if constexpr (!kIsFloat) narrow(to, pairs, out + b * pairs);
      else if (!inside(b, end)) std::memcpy(out + b * pairs, to, pairs * sizeof(float));
    }
  });
}

template <class T>
void dot_interaction_backward(const T* x, const T* grad, int64_t batch, int64_t features, int64_t dim, bool diagonal,
                              T* grad_x, int threads) {
  constexpr bool kIsFloat = sizeof(T) == sizeof(float);
  const int64_t pairs = triangle(features + diagonal);
  const int64_t size = features * dim;
  bool through = false;
  if constexpr (kIsFloat) through = streams(grad_x, batch * features, dim, kLarge);
  const Scratch<float> numbers(threads, kIsFloat ? 0 : 2 * size + pairs);
  parallel_rows(batch, kSamples, threads, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t b = begin; b < end; ++b) {
      if constexpr (kIsFloat) {
        const Sample sample{grad + b * pairs, features, dim, diagonal, b + 1 < end ? size : 0, through};
        gradient_sample(sample, x + b * size, grad_x + b * size);
      } else {
        float* const sample = numbers.of(worker);
        float* const result = sample + size;
        float* const factors = result + size;
        widen(x + b * size, size, sample);
        widen(grad + b * pairs, pairs, factors);
        gradient_sample({factors, features, dim, diagonal, 0, false}, sample, result);
        narrow(result, size, grad_x + b * size);
      }
    }
    if (through) end_streams();
  });
}

template void dot_interaction(const float*, int64_t, int64_t, int64_t, bool, float*, int);
template void dot_interaction(const uint16_t*, int64_t, int64_t, int64_t, bool, uint16_t*, int);
template void dot_interaction_backward(const float*, const float*, int64_t, int64_t, int64_t, bool, float*, int);
template void dot_interaction_backward(const uint16_t*, const uint16_t*, int64_t, int64_t, int64_t, bool, uint16_t*,
                                       int);

}  // namespace kernels::KERNEL_ISA
