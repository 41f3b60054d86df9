// The gradients of rows of an embedding table: the gradients of their lookups added up.
#pragma once

#include <cstring>

#include "row_step.h"
#include "sort_lookups.h"

namespace kernels::KERNEL_ISA {
namespace {

// Where a table's lookups find their gradients.
struct Gradients {
  const float* grad;  // of sample b at grad + b * stride
  int64_t stride;
  bool packed;              // copied together not long ago: it is in a cache near
  const uint32_t* samples;  // of each lookup, where the entries hold positions; null where they hold the samples
  const float* weights;     // of the lookup at a position at weights + position * weight_stride; null: all are 1
  int64_t weight_stride;
};

template <bool kWeighted>
inline const float* gradient_of(const Gradients& from, Entry entry) {
  const uint32_t place = payload_of(entry);
  return from.grad + (kWeighted && from.samples != nullptr ? from.samples[place] : place) * from.stride;
}

template <bool kWeighted>
inline Floats weighted(const Gradients& from, Entry entry, const Floats& gradient) {
  return kWeighted ? from.weights[payload_of(entry) * from.weight_stride] * gradient : gradient;
}

// Adds up elements d to d + kVectors * kLanes - 1 of the gradients of one row's lookups, in registers.
template <bool kWeighted, int kVectors>
inline void add_registers(const Entry* begin, const Entry* end, const Gradients& from, int64_t d, float* value) {
  Floats sum[kVectors];
  const float* gradient = gradient_of<kWeighted>(from, *begin) + d;
  for (int v = 0; v < kVectors; ++v) sum[v] = weighted<kWeighted>(from, *begin, load(gradient + v * kLanes));
  for (const Entry* entry = begin + 1; entry < end; ++entry) {
    gradient = gradient_of<kWeighted>(from, *entry) + d;
    for (int v = 0; v < kVectors; ++v) sum[v] += weighted<kWeighted>(from, *entry, load(gradient + v * kLanes));
  }
  for (int v = 0; v < kVectors; ++v) store(value + d + v * kLanes, sum[v]);
}

template <bool kWeighted>
inline void add_row(const Entry* begin, const Entry* end, const Gradients& from, int64_t dim, float* value) {
  constexpr int kBlock = 64 / kLanes < 8 ? 64 / kLanes : 8;
  int64_t d = 0;
  for (; d + kBlock * kLanes <= dim; d += kBlock * kLanes) add_registers<kWeighted, kBlock>(begin, end, from, d, value);
  for (; d + kLanes <= dim; d += kLanes) add_registers<kWeighted, 1>(begin, end, from, d, value);
  if (d == dim) return;
  Floats sum = weighted<kWeighted>(from, *begin, load_first(gradient_of<kWeighted>(from, *begin) + d, dim - d));
  for (const Entry* entry = begin + 1; entry < end; ++entry) {
    sum += weighted<kWeighted>(from, *entry, load_first(gradient_of<kWeighted>(from, *entry) + d, dim - d));
  }
  store_first(value + d, dim - d, sum);  // what is beyond stays 0, whatever an infinite weight makes of nothing
}

// Into the first-level cache: what the first lookups from an entry on, at most `count`, will read.
[[gnu::always_inline]] inline void prefetch_gradients(const Runs& runs, int64_t first, int64_t count,
                                                      const Gradients& from, int64_t dim) {
  const int64_t begin = runs.starts[first];
  const int64_t all = runs.starts[runs.rows] - begin;
  for (int64_t i = begin; i < begin + (all < count ? all : count); ++i) {
    const float* const gradient = from.weights == nullptr ? gradient_of<false>(from, runs.entries[i])
                                                          : gradient_of<true>(from, runs.entries[i]);
    for (int64_t d = 0; d < dim; d += 16) __builtin_prefetch(gradient + d);
  }
}

template <bool kWeighted, class Ahead>
inline void sum_rows(const Runs& runs, int64_t first, const Gradients& from, int64_t dim, float* space, Group& group,
                     const Ahead& ahead) {
  for (int64_t r = 0; r < group.count; ++r) {
    ahead(first + r + kGroup);
    const Entry* const begin = runs.entries + runs.starts[first + r];
    const Entry* const end = runs.entries + runs.starts[first + r + 1];
    if (!kWeighted && end - begin == 1 && dim % kSquares == 0) {
      group.values[r] = gradient_of<false>(from, *begin);  // it lies there as it is wanted
      continue;
    }
    float* const value = space + r * padded(dim);
    add_row<kWeighted>(begin, end, from, dim, value);
    group.values[r] = value;
  }
}

// The rows of a part from its row `first` on, at most kGroup, with their gradients. `space` has room for the gradients,
// and beyond dim zeros. Calls ahead(row) a group before each row: to prefetch it a little at a time.
template <class Ahead>
inline void sum_group(const Runs& runs, int64_t first, const Gradients& from, int64_t dim, float* space, Group& group,
                      const Ahead& ahead) {
  group.count = runs.rows - first < kGroup ? runs.rows - first : kGroup;
  for (int64_t r = 0; r < group.count; ++r) group.rows[r] = runs.id(first + r);
  if (!from.packed) prefetch_gradients(runs, first, 2 * kGroup, from, dim);
  from.weights == nullptr ? sum_rows<false>(runs, first, from, dim, space, group, ahead)
                          : sum_rows<true>(runs, first, from, dim, space, group, ahead);
}

// Adds the squares of a group to kSquares independent float64 sums.
inline void add_squares(const Group& group, int64_t dim, double* squares) {
  for (int64_t r = 0; r < group.count; ++r) {
    const float* const value = group.values[r];
    for (int64_t d = 0; d < dim; d += kSquares) {
      for (int64_t l = 0; l < kSquares; ++l) squares[l] += static_cast<double>(value[d + l]) * value[d + l];
    }
  }
}

}  // namespace
}  // namespace kernels::KERNEL_ISA
