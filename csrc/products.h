// Matrix products in tiles of registers. The right factor comes in panels of kWide columns, [panel][depth][kWide], made
// by pack_rows or pack_columns; sums run over the depth in order, so that tiles and blocks don't change a bit.
#pragma once

#include "transpose.h"

namespace kernels::KERNEL_ISA {
namespace {

constexpr int kTileRows = kRegisters == 32 ? 6 : kLanes == 8 ? 6 : 4;
constexpr int kTileVectors = kRegisters == 32 ? 4 : 2;
constexpr int64_t kWide = kTileVectors * kLanes;
constexpr int64_t kDepth = 4096 / kWide;  // of a panel that stays in the first-level cache

constexpr int64_t padded(int64_t columns) { return (columns + kWide - 1) / kWide * kWide; }

// Left factors: element (i, k) of a matrix stored by rows, and of the transpose of one stored by rows.
struct Plain {
  const float* from;
  int64_t stride;
  float at(int64_t i, int64_t k) const { return from[i * stride + k]; }
};
struct Transposed {
  const float* from;
  int64_t stride;
  float at(int64_t i, int64_t k) const { return from[k * stride + i]; }
};

// Panels of the matrix `from`, [depth, columns]; unused columns are 0.
inline void pack_rows(const float* from, int64_t depth, int64_t columns, float* panels) {
  for (int64_t c = 0; c < columns; c += kWide) {
    const int64_t count = columns - c < kWide ? columns - c : kWide;
    for (int64_t k = 0; k < depth; ++k, panels += kWide) {
      std::memcpy(panels, from + k * columns + c, count * sizeof(float));
      for (int64_t rest = count; rest < kWide; ++rest) panels[rest] = 0;
    }
  }
}

// Panels of the transpose of `from`, [columns, depth]; unused columns are 0 or repeat the last.
inline void pack_columns(const float* from, int64_t depth, int64_t columns, float* panels) {
  for (int64_t c = 0; c < columns; c += kWide, panels += depth * kWide) {
    const int64_t count = columns - c < kWide ? columns - c : kWide;
    if (count < kWide) std::memset(panels, 0, depth * kWide * sizeof(float));
    transpose(from + c * depth, depth, count, depth, kWide, panels);
  }
}

template <int Rows, int Vectors, class Left>
inline void multiply_tile(const Left& left, int64_t i, int64_t begin, int64_t end, const float* panel, int64_t stride,
                          Floats (&sum)[Rows][Vectors]) {
  for (int64_t k = begin; k < end; ++k, panel += stride) {
    Floats right[Vectors];
    for (int v = 0; v < Vectors; ++v) right[v] = load(panel + v * kLanes);
    for (int r = 0; r < Rows; ++r) {
      const Floats factor = fill(left.at(i + r, k));
      for (int v = 0; v < Vectors; ++v) sum[r][v] = multiply_add(factor, right[v], sum[r][v]);
    }
  }
}

// Calls work(Known<rows>, Known<registers of columns>, first row, panel) for all tiles of `rows` by `columns`.
template <class Work>
inline void for_tiles(int64_t rows, int64_t columns, const Work& work) {
  for (int64_t panel = 0; panel * kWide < columns; ++panel) {
    with_known<kTileVectors>((columns - panel * kWide + kLanes - 1) / kLanes, [&](auto vectors) {
      int64_t i = 0;
      for (; i + kTileRows <= rows; i += kTileRows) work(Known<kTileRows>{}, vectors, i, panel);
      for (; i < rows; ++i) work(Known<1>{}, vectors, i, panel);
    });
  }
}

// to[i, c] += sum over k of left(i, k) * right[k, c]; rows of `to` are padded(columns) long. Panel p of `right` begins
// at right + p * step, its rows are `stride` apart.
template <class Left>
void add_product(const Left& left, int64_t rows, int64_t depth, const float* right, int64_t step, int64_t stride,
                 int64_t columns, float* to) {
  const int64_t width = padded(columns);
  for (int64_t begin = 0; begin < depth; begin += kDepth) {
    const int64_t end = begin + kDepth < depth ? begin + kDepth : depth;
    for_tiles(rows, columns, [&](auto count, auto vectors, int64_t i, int64_t panel) {
      Floats sum[count.value][vectors.value];
      float* const place = to + i * width + panel * kWide;
      for (int r = 0; r < count.value; ++r) {
        for (int v = 0; v < vectors.value; ++v) sum[r][v] = load(place + r * width + v * kLanes);
      }
      multiply_tile(left, i, begin, end, right + panel * step + begin * stride, stride, sum);
      for (int r = 0; r < count.value; ++r) {
        for (int v = 0; v < vectors.value; ++v) store(place + r * width + v * kLanes, sum[r][v]);
      }
    });
  }
}

// Calls finish(i, c, lanes, product) for the registers of left * right, columns c to c + lanes - 1, rows in order.
template <class Left, class Finish>
void each_product(const Left& left, int64_t rows, int64_t depth, const float* panels, int64_t columns,
                  const Finish& finish) {
  for_tiles(rows, columns, [&](auto count, auto vectors, int64_t i, int64_t panel) {
    Floats sum[count.value][vectors.value] = {};
    multiply_tile(left, i, 0, depth, panels + panel * depth * kWide, kWide, sum);
    for (int r = 0; r < count.value; ++r) {
      for (int v = 0; v < vectors.value; ++v) {
        const int64_t c = panel * kWide + v * kLanes;
        finish(i + r, c, columns - c < kLanes ? columns - c : kLanes, sum[r][v]);
      }
    }
  });
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
