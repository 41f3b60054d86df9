// Rows become columns, in registers: four numbers of each row at a time.
#pragma once

#include "floats.h"

namespace kernels::KERNEL_ISA {
namespace {

typedef int32_t Places __attribute__((vector_size(kNarrow * sizeof(int32_t))));

// Of every four lanes of a and b: {a0, b0, a1, b1} or, with High, {a2, b2, a3, b3}.
template <bool High>
inline NarrowFloats interleave(const NarrowFloats& a, const NarrowFloats& b) {
  Places places;
  for (int lane = 0; lane < kNarrow; ++lane) {
    places[lane] = lane / 4 * 4 + lane % 4 / 2 + (High ? 2 : 0) + lane % 2 * kNarrow;
  }
  return __builtin_shuffle(a, b, places);
}

// Of every four lanes of a and b: {a0, a1, b0, b1} or, with High, {a2, a3, b2, b3}.
template <bool High>
inline NarrowFloats join(const NarrowFloats& a, const NarrowFloats& b) {
  Places places;
  for (int lane = 0; lane < kNarrow; ++lane) {
    places[lane] = lane / 4 * 4 + lane % 2 + (High ? 2 : 0) + lane % 4 / 2 * kNarrow;
  }
  return __builtin_shuffle(a, b, places);
}

// Four numbers of each of kNarrow / 4 rows that are 4 rows apart.
inline NarrowFloats load_fours(const float* const* row, int64_t column) {
#if defined(__AVX2__)
  const __m128 low = _mm_loadu_ps(row[0] + column), high = _mm_loadu_ps(row[4] + column);
  return (NarrowFloats)_mm256_insertf128_ps(_mm256_castps128_ps256(low), high, 1);
#else
  return load<NarrowFloats>(row[0] + column);
#endif
}

// to[c * width + r] = from[r * stride + c] for r < rows, c < columns. Whole registers are written: up to the next
// multiple of kNarrow, which must fit into width, the last row is repeated.
inline void transpose(const float* from, int64_t stride, int64_t rows, int64_t columns, int64_t width, float* to) {
  for (int64_t r = 0; r < rows; r += kNarrow) {
    const float* row[kNarrow];
    for (int i = 0; i < kNarrow; ++i) row[i] = from + (r + i < rows ? r + i : rows - 1) * stride;
    float* const out = to + r;
    int64_t c = 0;
    for (; c + 4 <= columns; c += 4) {
      NarrowFloats four[4];
      for (int i = 0; i < 4; ++i) four[i] = load_fours(row + i, c);
      const NarrowFloats low01 = interleave<false>(four[0], four[1]), high01 = interleave<true>(four[0], four[1]);
      const NarrowFloats low23 = interleave<false>(four[2], four[3]), high23 = interleave<true>(four[2], four[3]);
      store(out + c * width, join<false>(low01, low23));
      store(out + (c + 1) * width, join<true>(low01, low23));
      store(out + (c + 2) * width, join<false>(high01, high23));
      store(out + (c + 3) * width, join<true>(high01, high23));
    }
    for (; c < columns; ++c) {
      for (int i = 0; i < kNarrow; ++i) out[c * width + i] = row[i][c];
    }
  }
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
