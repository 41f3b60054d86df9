// What short rows need beside whole registers: square roots, sums of lanes, prefetching.
#pragma once

#include "floats.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace kernels::KERNEL_ISA {
namespace {

// Correctly rounded, as the square root of IEEE 754 is.
inline Floats square_root(const Floats& value) {
#if defined(__AVX512F__)
  return (Floats)_mm512_maskz_sqrt_ps(0xffff, (__m512)value);
#elif defined(__AVX2__)
  return (Floats)_mm256_sqrt_ps((__m256)value);
#else
  Floats root;
  for (int l = 0; l < kLanes; ++l) root[l] = __builtin_sqrtf(value[l]);
  return root;
#endif
}

// The sum of the lanes: the halves of the register are added, then their halves, down to one.
inline float sum_lanes(const Floats& value) {
#if defined(__AVX512F__)
  const NarrowFloats by8 = __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7) +
                           __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15);
#else
  const Floats& by8 = value;
#endif
#if defined(__AVX2__)
  const auto by4 = __builtin_shufflevector(by8, by8, 0, 1, 2, 3) + __builtin_shufflevector(by8, by8, 4, 5, 6, 7);
#else
  const Floats& by4 = by8;
#endif
  const auto by2 = by4 + __builtin_shufflevector(by4, by4, 2, 3, 0, 1);
  return by2[0] + by2[1];
}

// Prefetching. Always inlined: GCC takes a function that only prefetches for one without effect, and drops calls of it.
// Far ahead: into the second-level cache, which can wait for many more lines at a time than the first (measured: 1.5x
// the rows a second).
[[gnu::always_inline]] inline void prefetch_far(const float* row, int64_t dim) {
  for (int64_t d = 0; d < dim; d += 16) __builtin_prefetch(row + d, 0, 2);
  __builtin_prefetch(row + dim - 1, 0, 2);  // a row that doesn't begin with a cache line ends in one more
}

[[gnu::always_inline]] inline void prefetch_near(const float* row, int64_t dim) {
  for (int64_t d = 0; d < dim; d += 16) __builtin_prefetch(row + d, 1, 3);
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
