// Embedding lookup of many tables in one call.
#pragma once

#include <cstdint>

#include "isa.h"

namespace kernels {

// Which rows a batch looks up. Bag (t, b) of table t and sample b is
//   ids[b * tables + t]                                                      where offsets is null: one id per table;
//   ids[offsets[t * batch + b]] ... ids[offsets[t * batch + b + 1] - 1]      otherwise (table by table).
// The caller has checked: offsets start at 0, never fall and end at the number of ids; 0 <= id < rows of its table.
struct Lookups {
  const int64_t* ids;
  const int64_t* offsets;  // [tables * batch + 1] or null
  const float* weights;    // one per id, in the order of ids, or null: the factor of its row (only where not mean)
  int64_t tables;
  int64_t batch;
  bool mean;  // bags are averaged, not summed; an empty bag gives zeros either way

  int64_t count(int64_t table) const {
    return offsets == nullptr ? batch : offsets[(table + 1) * batch] - offsets[table * batch];
  }
  int64_t total() const { return offsets == nullptr ? tables * batch : offsets[tables * batch]; }
};

}  // namespace kernels

FOR_EACH_ISA(
    // out[b, t, :] = sum or mean of the rows of bag (t, b), added in the order of the ids in float32.
    // data[t]: float32 [rows of t, dim]; out: float32 [batch, tables, dim].
    void embedding_bag(const float* const* data, const Lookups& lookups, int64_t dim, float* out, int threads);)
