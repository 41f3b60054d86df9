// Embedding lookup of many tables in one call, and the sparse Adagrad step on the rows that were looked up.
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
  int64_t tables;
  int64_t batch;
  bool mean;  // bags are averaged, not summed; an empty bag gives zeros either way

  int64_t count(int64_t table) const {
    return offsets == nullptr ? batch : offsets[(table + 1) * batch] - offsets[table * batch];
  }
  int64_t total() const { return offsets == nullptr ? tables * batch : offsets[tables * batch]; }
};

// The gradient of the looked-up rows, repeated rows added up. Lookups of table t own the places starts[t] to
// starts[t + 1] - 1 (as many as it has lookups); the first counts[t] of them are used, one per row touched, ascending.
struct RowGradients {
  int64_t* starts;  // [tables + 1]
  int64_t* counts;  // [tables]
  int64_t* rows;    // [lookups]
  float* values;    // [lookups, dim]
};

}  // namespace kernels

FOR_EACH_ISA(
    // out[b, t, :] = sum or mean of the rows of bag (t, b), added in the order of the ids in float32.
    // data[t]: float32 [rows of t, dim]; out: float32 [batch, tables, dim].
    void embedding_bag(const float* const* data, const Lookups& lookups, int64_t dim, float* out, int threads);

    // Adds up grad (float32 [batch, tables, dim]) per row touched, in the order of the ids in float32, and returns the
    // sum of the squares of the result, which is the squared norm of the tables' dense gradient, added in float64.
    // Work grows with the lookups, not with the tables. Ids below 2^32. Per table: a stable radix sort of the ids.
    double embedding_bag_coalesce(const Lookups& lookups, int64_t dim, const float* grad, const RowGradients& out,
                                  int threads);

    // torch's dense Adagrad (weight decay 0, no lr decay) on the rows that have a gradient; the others would not change:
    //   g = scale * gradient;  state += g * g;  row -= lr * g / (sqrt(state) + eps).
    // Duchi, Hazan, Singer: Adaptive Subgradient Methods, JMLR 2011, diagonal form.
    void embedding_bag_adagrad(float* const* data, float* const* state, const RowGradients& gradients, int64_t tables,
                               int64_t dim, float lr, float eps, float scale, int threads);)
